package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/ledger"
)

// A handshakeJSON is a handshake of the ledger as docs/json.md tells it.
type handshakeJSON struct {
	Session string       `json:"session"`
	Time    time.Time    `json:"time"`
	Address netip.Addr   `json:"address"`
	Network netip.Prefix `json:"network"`
	EHLO    string       `json:"ehlo,omitempty"`
	JA4     string       `json:"ja4,omitempty"`
	Outcome string       `json:"outcome"`
	Rung    string       `json:"rung,omitempty"`
	negotiatedJSON
	After     string          `json:"after,omitempty"`
	Stopped   string          `json:"stopped,omitempty"`
	Cases     []caseFoundJSON `json:"cases,omitempty"`
	Next      string          `json:"next,omitempty"`
	Handshake json.RawMessage `json:"handshake,omitempty"`
}

// A negotiatedJSON is what a handshake came to, by names.
type negotiatedJSON struct {
	Version string `json:"version,omitempty"`
	Suite   string `json:"suite,omitempty"`
	Group   string `json:"group,omitempty"`
}

// negotiated names the numbers of the wire; 0 stands for nothing.
func negotiated(version, suite, group uint16) (n negotiatedJSON) {
	if version != 0 {
		n.Version, n.Suite = handshake.Version(version).String(), handshake.Suite(suite).String()
	}
	if group != 0 {
		n.Group = handshake.Group(group).String()
	}
	return n
}

type caseFoundJSON struct {
	Case       string  `json:"case"`
	Confidence float64 `json:"confidence"`
}

func handshakeRow(h ledger.Handshake) handshakeJSON {
	row := handshakeJSON{
		Session: h.Session, Time: h.At.UTC(), Address: h.Address, Network: h.Network,
		EHLO: h.EHLO, JA4: h.Fingerprint, Outcome: h.Outcome.String(), Rung: h.Rung,
		negotiatedJSON: negotiated(h.Version, h.Suite, h.Group),
		After:          h.After, Stopped: h.Stopped, Next: h.Next, Handshake: h.Transcript,
	}
	for _, d := range h.Diagnoses {
		row.Cases = append(row.Cases, caseFoundJSON{d.Case, d.Confidence})
	}
	return row
}

// handshakeLine is a handshake in one line of columns, for people.
func handshakeLine(h ledger.Handshake) string {
	line := fmt.Sprintf("%s  %-10s  %-15s  %-28s  %-9s  %s", h.At.Local().Format(time.DateTime),
		h.Session, h.Address, short(h.EHLO, 28), h.Outcome, handshakeWords(h))
	return strings.TrimRight(line, " ")
}

// handshakeWords say what is to say of a handshake beyond its outcome.
func handshakeWords(h ledger.Handshake) string {
	switch {
	case h.Outcome == ledger.Failed && len(h.Diagnoses) == 0:
		return fmt.Sprintf("%s on %s: %s", ledger.Unknown, h.Rung, printable(h.Stopped))
	case h.Outcome == ledger.Failed:
		return fmt.Sprintf("%s on %s: %s", h.Diagnoses[0].Case, h.Rung, printable(h.Stopped))
	case h.Outcome == ledger.Plaintext && h.After != "":
		return "came back without TLS after " + h.After
	case h.Outcome == ledger.Plaintext:
		return ""
	}
	return fmt.Sprintf("%s on %s", handshake.Version(h.Version), h.Rung)
}
