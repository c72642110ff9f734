package server

import (
	"context"
	"time"

	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/logkey"
)

// loadHistory gives the fallback the states that an earlier process stored.
func (obs *observer) loadHistory(path string) {
	reader, err := ledger.OpenReader(path)
	if err != nil {
		obs.log.Warn("cannot load sender history; starting empty", logkey.Err, err)
		return
	}
	defer reader.Close()
	states, err := reader.States(context.Background())
	if err != nil {
		obs.log.Warn("cannot load all sender history", logkey.Err, err)
	}
	obs.selector.Restore(states, time.Now())
}

// saveInterval is how much sender history a crash may lose.
const saveInterval = 2 * time.Second

// saveHistory stores the states that changed, again and again until the observer is closed.
func (obs *observer) saveHistory() {
	tick := time.NewTicker(saveInterval)
	defer tick.Stop()
	for open := true; open; {
		select {
		case <-tick.C:
		case <-obs.closed:
			open = false
		}
		obs.ledger.AddStates(obs.selector.Changed())
	}
}

// setPins gives the fallback all pins and returns what changed.
func (obs *observer) setPins(pins []fallback.Pin) []fallback.Decision {
	var valid []fallback.Pin
	for _, pin := range pins {
		if _, err := pin.Mode.MarshalText(); err != nil {
			obs.log.Warn("ignoring invalid pin", logkey.Network, pin.Network, logkey.Err, err)
			continue
		}
		valid = append(valid, pin)
	}
	decisions := obs.selector.SetPins(valid, time.Now())
	obs.metrics.Decided(decisions)
	return decisions
}
