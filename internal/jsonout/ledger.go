package jsonout

import (
	"encoding/json"
	"net/netip"
	"time"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/tlsrptexplain"
)

// A Handshake is a handshake in the ledger, as in docs/json.md.
type Handshake struct {
	Session string       `json:"session"`
	Time    time.Time    `json:"time"`
	Host    string       `json:"host,omitempty"`
	Address netip.Addr   `json:"address"`
	Network netip.Prefix `json:"network"`
	EHLO    string       `json:"ehlo,omitempty"`
	Name    string       `json:"name,omitempty"`
	JA4     string       `json:"ja4,omitempty"`
	Probe   bool         `json:"probe,omitempty"`
	Outcome string       `json:"outcome"`
	Mode    string       `json:"mode,omitempty"`
	Negotiated
	After     string             `json:"after,omitempty"`
	Stopped   string             `json:"stopped,omitempty"`
	Cases     []ledger.Diagnosis `json:"cases,omitempty"`
	Revised   string             `json:"revised,omitempty"`
	Next      string             `json:"next,omitempty"`
	Handshake json.RawMessage    `json:"handshake,omitempty"`
}

// A Negotiated has the names of what was negotiated.
type Negotiated struct {
	Version string `json:"version,omitempty"`
	Suite   string `json:"suite,omitempty"`
	Group   string `json:"group,omitempty"`
}

// negotiated names TLS parameters; 0 means none.
func negotiated(version handshake.Version, suite handshake.Suite, group handshake.Group) (n Negotiated) {
	if version != 0 {
		n.Version, n.Suite = version.String(), suite.String()
	}
	if group != 0 {
		n.Group = group.String()
	}
	return n
}

func NewHandshake(h ledger.Handshake) Handshake {
	out := Handshake{
		Session: h.Session, Time: h.At.UTC(), Host: h.Host, Address: h.Address, Network: h.Network,
		EHLO: h.EHLO, Name: h.Name, JA4: h.Fingerprint, Probe: h.Probe, Outcome: h.Outcome.String(),
		Negotiated: negotiated(h.Version, h.Suite, h.Group),
		After:      h.After, Stopped: h.Stopped, Cases: h.Diagnoses, Revised: h.Revised, Next: h.Next, Handshake: h.Transcript,
	}
	if h.Fingerprint != "" {
		out.Mode = h.Mode.String()
	}
	return out
}

// A SenderHistory is what postern senders show --json prints.
type SenderHistory struct {
	Senders   []ledger.Sender   `json:"senders"`
	Days      []Day             `json:"days"`
	Pins      []fallback.Pin    `json:"pins"`
	Decisions []ledger.Decision `json:"decisions"`
	Failed    []Handshake       `json:"failed"`
	Refusals  []Refusal         `json:"refusals"`
}

type Day struct {
	Day string `json:"day"`
	Negotiated
	ledger.Counts
}

func NewSenderHistory(s ledger.SenderHistory) SenderHistory {
	return SenderHistory{notNil(s.Senders), each(s.Days, toDay), notNil(s.Pins), notNil(s.Decisions), each(s.Failed, NewHandshake), each(s.Refusals, NewRefusal)}
}

func toDay(d ledger.Day) Day {
	return Day{d.Day.Format(time.DateOnly), negotiated(d.Version, d.Suite, d.Group), d.Counts}
}

// A Refusal is a refusal, as in docs/json.md.
type Refusal struct {
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Host     string    `json:"host,omitempty"`
	Network  string    `json:"network,omitempty"`
	EHLO     string    `json:"ehlo,omitempty"`
	Command  string    `json:"command,omitempty"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Reply    string    `json:"reply"`
	By       string    `json:"by,omitempty"`
	Count    int64     `json:"count"`
	Session  string    `json:"session,omitempty"`
	Accepted time.Time `json:"accepted,omitzero"`
}

func NewRefusal(r ledger.Refusal) Refusal {
	out := Refusal{
		First: r.First.UTC(), Last: r.Last.UTC(), Host: r.Host, EHLO: r.EHLO, Command: r.Command, From: r.From, To: r.To,
		Reply: r.Reply, Count: r.Count, Session: r.Session, Accepted: r.Accepted,
	}
	if r.Network.IsValid() {
		out.Network = r.Network.String()
	}
	switch {
	case r.Command == "":
	case r.Remote:
		out.By = "next hop"
	default:
		out.By = "postern"
	}
	return out
}

// A Report is a report as in docs/json.md.
type Report struct {
	Report       int64           `json:"report,omitempty"`
	Time         time.Time       `json:"time"`
	Host         string          `json:"host,omitempty"`
	Via          string          `json:"via"`
	Session      string          `json:"session,omitempty"`
	Address      netip.Addr      `json:"address,omitzero"`
	Verified     bool            `json:"verified"`
	Signer       string          `json:"signer,omitempty"`
	Verdict      string          `json:"verdict"`
	Submitter    string          `json:"submitter,omitempty"`
	Organization string          `json:"organization,omitempty"`
	ReportID     string          `json:"report_id,omitempty"`
	Start        time.Time       `json:"start,omitzero"`
	End          time.Time       `json:"end,omitzero"`
	Domains      []string        `json:"domains"`
	Successful   int64           `json:"successful"`
	Failed       int64           `json:"failed"`
	Detailed     int64           `json:"detailed"`
	Versions     int64           `json:"versions"`
	Warnings     []string        `json:"warnings"`
	Content      json.RawMessage `json:"content,omitempty"`
}

func NewReport(r ledger.Report, sessions tlsrptexplain.Totals) Report {
	return Report{
		r.ID, r.At.UTC(), r.Host, string(r.Via), r.Session, r.Address, r.Verified, r.Signer, r.Verdict, r.Submitter, r.Organization, r.ReportID,
		r.Start, r.End, r.Domains, sessions.Successful, sessions.Failed, sessions.Detailed, r.Versions, r.Warnings, r.Content,
	}
}

// An Added is the result for one file or mail, as in docs/json.md.
type Added struct {
	Name      string `json:"name"`
	Report    int64  `json:"report,omitempty"`
	New       bool   `json:"new"`
	Confirmed bool   `json:"confirmed"`
	Verified  bool   `json:"verified"`
	Verdict   string `json:"verdict,omitempty"`
	Error     string `json:"error,omitempty"`
}

// NewAlert returns an alert as in docs/json.md: without what channels were told.
func NewAlert(a ledger.Alert) ledger.Alert {
	a.Said = nil
	return a
}
