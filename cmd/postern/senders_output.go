package main

import (
	"fmt"
	"net/netip"
	"time"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/safetext"
)

// A senderJSON is a sender as docs/json.md tells it.
type senderJSON struct {
	Network netip.Prefix `json:"network"`
	EHLO    string       `json:"ehlo,omitempty"`
	JA4     string       `json:"ja4,omitempty"`
	First   time.Time    `json:"first"`
	Last    time.Time    `json:"last"`
	countsJSON
}

type countsJSON struct {
	Full      int64 `json:"full"`
	Resumed   int64 `json:"resumed"`
	Failed    int64 `json:"failed"`
	Plaintext int64 `json:"plaintext"`
	Returned  int64 `json:"returned"`
}

func senderRow(s ledger.Sender) senderJSON {
	return senderJSON{
		Network: s.Network, EHLO: s.EHLO, JA4: s.Fingerprint,
		First: s.First.UTC(), Last: s.Seen.UTC(), countsJSON: countsJSON(s.Counts),
	}
}

const senderFormat = "%-20s  %-28s  %8s  %8s  %8s  %9s  %-16s  %s"

var senderHead = fmt.Sprintf(senderFormat, "network", "ehlo", "full", "resumed", "failed", "plaintext", "last seen", "")

// senderLine is a sender in one line of columns, for people.
func senderLine(s ledger.Sender) string {
	var words string
	if s.Returned > 0 {
		words = fmt.Sprintf("came back without TLS, %d×", s.Returned)
	}
	count := func(n int64) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	return fmt.Sprintf(senderFormat, s.Network, safetext.Shorten(s.EHLO, 28), count(s.Full), count(s.Resumed),
		count(s.Failed), count(s.Plaintext), s.Seen.Local().Format("2006-01-02 15:04"), words)
}

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
	Mode    string       `json:"mode"`
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
		Pins:    each(s.pins, func(p fallback.Pin) pinJSON { return pinJSON{p.Network, p.Mode.String(), p.Why, p.Since.UTC()} }),
		Decisions: each(s.decisions, func(d fallback.Decision) decisionJSON {
			return decisionJSON{d.At.UTC(), string(d.Kind), d.Network, d.Fingerprint, d.From.String(), d.To.String(), d.Why}
		}),
		Failed: each(s.failed, handshakeRow),
	}
}

func dayRow(d ledger.Day) dayJSON {
	return dayJSON{d.Day.Format(time.DateOnly), negotiated(d.Version, d.Suite, d.Group), countsJSON(d.Counts)}
}
