package triage

import (
	"context"
	"encoding/json"
	"time"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/logkey"
)

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
	states := make([]fallback.State, len(kept))
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
