package triage

import (
	"fmt"
	"time"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/smtpd"
)

// learn lets the ladder learn from a session and keeps what it decides.
func (t *Triage) learn(v smtpd.Visit) []fallback.Decision {
	if v.JA4 == "" {
		return nil // no ClientHello, so nothing was offered
	}
	sender := fallback.Sender{Addr: v.Addr, Fingerprint: v.JA4}
	decisions := t.ladder.Learn(sender, v.Rung, outcome(v), time.Now())
	t.note(decisions)
	return decisions
}

// outcome is what a session tells of the rung it was offered.
func outcome(v smtpd.Visit) handshake.Outcome {
	if v.Handshake == nil {
		return handshake.Worked
	}
	return v.Handshake.Outcome()
}

// next says what the sender of a failed handshake is offered when it comes again.
func (t *Triage) next(v smtpd.Visit, decisions []fallback.Decision) string {
	for _, d := range decisions {
		if d.Network == fallback.Network(v.Addr) && d.Fingerprint == v.JA4 {
			return fmt.Sprintf("offered %s when it comes again: %s", d.To, d.Why)
		}
	}
	switch {
	case v.JA4 == "":
		return "nothing: no ClientHello came"
	case outcome(v) == handshake.Inconclusive:
		return fmt.Sprintf("offered %s again: such an end does not come from tickets", v.Rung)
	}
	return fmt.Sprintf("offered %s again", v.Rung)
}

// note has the ledger keep decisions.
func (t *Triage) note(decisions []fallback.Decision) {
	for _, d := range decisions {
		t.ledger.Note(ledger.Decision{
			At: d.At, Kind: string(d.Kind), Network: d.Network, Fingerprint: d.Fingerprint,
			From: d.From.String(), To: d.To.String(), Why: d.Why,
		})
	}
}
