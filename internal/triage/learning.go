package triage

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"postern/handshake"
	"postern/internal/ladder"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/smtpd"
)

// learn lets the ladder learn from a session and keeps what it decides.
func (t *Triage) learn(v smtpd.Visit) []ladder.Decision {
	if v.JA4 == "" {
		return nil // no ClientHello, so nothing was offered
	}
	sender := ladder.Sender{Addr: v.Addr, Fingerprint: v.JA4}
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
func (t *Triage) next(v smtpd.Visit, decisions []ladder.Decision) string {
	for _, d := range decisions {
		if d.Network == ladder.Network(v.Addr) && d.Fingerprint == v.JA4 {
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
func (t *Triage) note(decisions []ladder.Decision) {
	for _, d := range decisions {
		t.ledger.Note(ledger.Decision{
			At: d.At, Kind: string(d.Kind), Network: d.Network, Fingerprint: d.Fingerprint,
			From: d.From.String(), To: d.To.String(), Why: d.Why,
		})
	}
}

// setPins takes in the pins as they stand in the ledger. Those that were there at
// the start are no news.
func (t *Triage) setPins(now []ledger.Pin) {
	var pins []ladder.Pin
	for _, p := range now {
		pin := ladder.Pin{Network: p.Network, Why: p.Why, Since: p.Since}
		if err := pin.Rung.UnmarshalText([]byte(p.Rung)); err != nil {
			t.log.Warn("a pin is not heeded", logkey.Network, p.Network, logkey.Err, err)
			continue
		}
		pins = append(pins, pin)
	}
	decisions := t.ladder.SetPins(pins, time.Now())
	if t.pinned {
		<-t.opened
		t.note(decisions)
	}
	t.pinned = true
}

// maxStates is above what a ladder remembers.
const maxStates = 1 << 17

// restore gives the ladder what an earlier run has learned.
func (t *Triage) restore(path string) {
	reader, err := ledger.OpenReader(path)
	if err != nil {
		t.log.Warn("what was learned of senders could not be read, all begin anew", logkey.Err, err)
		return
	}
	defer reader.Close()
	kept, err := reader.States(context.Background(), maxStates)
	if err != nil {
		t.log.Warn("what was learned of senders could not be read, all begin anew", logkey.Err, err)
		return
	}
	states := make([]ladder.State, len(kept))
	for i, k := range kept {
		if err := json.Unmarshal(k.Value, &states[i]); err != nil {
			t.log.Warn("what was learned of a sender could not be read", logkey.Network, k.Network, logkey.Err, err)
		}
	}
	t.ladder.Restore(states)
}

// saveInterval is how much of what was learned a crash may take.
const saveInterval = 2 * time.Second

// save has the ledger keep what the ladder has learned, again and again.
func (t *Triage) save() {
	tick := time.NewTicker(saveInterval)
	defer tick.Stop()
	for open := true; open; {
		select {
		case <-tick.C:
		case <-t.closed:
			open = false
		}
		for _, s := range t.ladder.Changed() {
			value, err := json.Marshal(s)
			if err != nil {
				t.log.Warn("what was learned of a sender could not be kept", logkey.Network, s.Network, logkey.Err, err)
				continue
			}
			t.ledger.Note(ledger.State{At: s.Seen, Network: s.Network, Fingerprint: s.Fingerprint, Value: value})
		}
	}
}
