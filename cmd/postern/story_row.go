package main

import (
	"net/netip"
	"time"

	"postern/internal/ledger"
)

// A storyJSON is all about a sender, as docs/json.md tells it.
type storyJSON struct {
	Senders   []senderJSON    `json:"senders"`
	Days      []dayJSON       `json:"days"`
	Pins      []pinJSON       `json:"pins"`
	Decisions []decisionJSON  `json:"decisions"`
	Failed    []handshakeJSON `json:"failed"`
}

type dayJSON struct {
	Day string `json:"day"`
	negotiatedJSON
	countsJSON
}

type pinJSON struct {
	Network netip.Prefix `json:"network"`
	Rung    string       `json:"rung"`
	Why     string       `json:"why"`
	Since   time.Time    `json:"since"`
}

type decisionJSON struct {
	Time    time.Time    `json:"time"`
	Kind    string       `json:"kind"`
	Network netip.Prefix `json:"network"`
	JA4     string       `json:"ja4,omitempty"`
	From    string       `json:"from"`
	To      string       `json:"to"`
	Why     string       `json:"why"`
}

func storyRow(s senderStory) storyJSON {
	return storyJSON{
		Senders: each(s.senders, senderRow),
		Days:    each(s.days, dayRow),
		Pins:    each(s.pins, func(p ledger.Pin) pinJSON { return pinJSON{p.Network, p.Rung, p.Why, p.Since.UTC()} }),
		Decisions: each(s.decisions, func(d ledger.Decision) decisionJSON {
			return decisionJSON{d.At.UTC(), d.Kind, d.Network, d.Fingerprint, d.From, d.To, d.Why}
		}),
		Failed: each(s.failed, handshakeRow),
	}
}

func dayRow(d ledger.Day) dayJSON {
	return dayJSON{d.Day.Format(time.DateOnly), negotiated(d.Version, d.Suite, d.Group), countsJSON(d.Counts)}
}

// each makes a list of rows, never nil: JSON says [] then.
func each[T, R any](all []T, row func(T) R) []R {
	rows := make([]R, 0, len(all))
	for _, one := range all {
		rows = append(rows, row(one))
	}
	return rows
}
