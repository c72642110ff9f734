package triage

import (
	"time"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/logkey"
)

// setPins takes in the pins as they stand in the ledger. Those that were there at
// the start are no news.
func (t *Triage) setPins(now []ledger.Pin) {
	var pins []fallback.Pin
	for _, p := range now {
		pin := fallback.Pin{Network: p.Network, Why: p.Why, Since: p.Since}
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
