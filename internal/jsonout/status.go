package jsonout

import (
	"net/netip"
	"time"

	"postern/internal/delivery"
	"postern/internal/ledger"
	"postern/internal/status"
)

// A Status is who cannot deliver and what to do, as in docs/json.md.
type Status struct {
	Version  int          `json:"version"`
	From     time.Time    `json:"from"`
	To       time.Time    `json:"to"`
	State    status.State `json:"state"`
	Sentence string       `json:"sentence"`
	Cards    []StatusCard `json:"cards"`
	More     int          `json:"more,omitempty"`
	Doubtful int          `json:"doubtful,omitempty"`
	Fleet    []FleetHost  `json:"fleet,omitempty"`
	Refused  int64        `json:"refused_networks,omitempty"`
	Checked  time.Time    `json:"checked,omitzero"`
}

// statusVersion is raised when the meaning of a field changes.
const statusVersion = 1

type StatusCard struct {
	Effect       delivery.Effect   `json:"effect,omitzero"`
	Who          string            `json:"who"`
	Organization string            `json:"organization,omitempty"`
	By           string            `json:"by,omitempty"`
	EHLO         []string          `json:"ehlo"`
	Networks     []netip.Prefix    `json:"networks"`
	MoreNetworks int               `json:"more_networks,omitempty"`
	Case         string            `json:"case,omitempty"`
	Confidence   float64           `json:"confidence,omitzero"`
	Evidence     []string          `json:"evidence,omitempty"`
	Hosts        []string          `json:"hosts,omitempty"`
	First        time.Time         `json:"first"`
	Last         time.Time         `json:"last,omitzero"`
	Failed       int64             `json:"failed"`
	Worked       time.Time         `json:"worked,omitzero"`
	Plaintext    time.Time         `json:"plaintext,omitzero"`
	Session      string            `json:"session,omitempty"`
	Did          []StatusStep      `json:"did"`
	Decisions    []ledger.Decision `json:"decisions"`
	Next         string            `json:"next"`
	Host         *FleetHost        `json:"host,omitempty"`
	Alert        *ledger.Alert     `json:"alert,omitempty"`
}

type StatusStep struct {
	Time time.Time `json:"time,omitzero"`
	Text string    `json:"text"`
}

func NewStatus(s status.Status) Status {
	return Status{
		statusVersion, s.Span.From.UTC(), s.Span.To.UTC(), s.State, s.Sentence, each(s.Cards, newStatusCard), s.More, s.Doubtful, each(s.Fleet, NewFleetHost), s.Refused, s.Checked,
	}
}

func newStatusCard(c status.Card) StatusCard {
	out := StatusCard{
		Effect: c.Effect, Who: c.Title, Organization: c.Organization.Domain, By: string(c.Organization.By),
		EHLO: notNil(c.Names), Networks: notNil(c.Networks), MoreNetworks: c.MoreNetworks, Confidence: float64(c.Confidence), Evidence: c.Evidence,
		Hosts: c.Hosts, First: c.First.UTC(), Last: c.Last.UTC(), Failed: c.Failed, Worked: c.Worked, Plaintext: c.Plaintext, Session: c.Session,
		Did:       each(c.Did(), func(s status.Step) StatusStep { return StatusStep{s.At, s.Text} }),
		Decisions: notNil(c.Decisions), Next: c.Next(),
	}
	if c.Case != nil {
		out.Case = c.Case.ID
	}
	if c.Host != nil {
		h := NewFleetHost(*c.Host)
		out.Host = &h
	}
	if c.Alert != nil {
		a := NewAlert(*c.Alert)
		out.Alert = &a
	}
	return out
}
