package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/fallback"
	"postern/internal/logkey"
)

// Pins are those of a host, which its operator changes: see [ledger.Ledger].
type Pins interface {
	// PinChanges returns the last change of each network's pin.
	PinChanges(ctx context.Context) ([]fallback.PinChange, error)
	// TakePins stores changes, each unless a later one of the network is known.
	TakePins(ctx context.Context, changes []fallback.PinChange) error
}

// pinInterval is how often a host looks whether its operator has changed a pin.
const pinInterval = time.Second

// A pinBook is what NATS has of the pins of all hosts. What a host has itself is in its ledger.
type pinBook struct {
	*Fleet
	kv     jetstream.KeyValue
	stored map[string]fallback.PinChange // by key
	news   []fallback.PinChange          // that this host has not taken yet
	seen   uint64                        // revision up to which the bucket was read
}

// sharePins takes the pins of other hosts and gives them those of this one. It returns when the
// watch has ended.
func (f *Fleet) sharePins(ctx context.Context, js jetstream.JetStream, again <-chan struct{}) error {
	kv, watch, err := openBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: f.Prefix + "-pins", Description: "pins that operators set, encrypted",
		MaxValueSize: 16 << 10, MaxBytes: 16 << 20,
	})
	if err != nil {
		return err
	}
	b := &pinBook{Fleet: f, kv: kv, stored: make(map[string]fallback.PinChange)}
	tick := time.NewTicker(pinInterval)
	defer tick.Stop()
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	var lag watchLag
	for complete := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			return nil
		case it, ok := <-watch.items:
			switch {
			case !ok:
				return watch.err
			case it == nil: // what was stored has been read
				complete = true
			default:
				b.read(it)
				if len(watch.items) > 0 {
					continue
				}
			}
		case <-check.C:
			if err := lag.check(ctx, kv, b.seen); err != nil {
				return err
			}
			continue
		case <-tick.C:
		}
		if complete {
			if err := b.agree(ctx); err != nil {
				return err
			}
			f.note(partPins, nil)
		}
	}
}

// read notes a stored change.
func (b *pinBook) read(it *item) {
	b.seen = it.revision
	delete(b.stored, it.key) // what it was is overwritten
	if it.removed {
		return
	}
	var c fallback.PinChange
	err := b.decode(it, &c)
	if network := c.Pin.Network; err == nil && (!network.IsValid() || network != network.Masked() || b.pinName(network) != it.key) {
		err = errors.New("has another network's name")
	}
	if err != nil {
		b.Log.Debug("ignoring a pin of the fleet", logkey.Entry, it.key, logkey.Err, err)
		return
	}
	b.stored[it.key] = c
	b.news = append(b.news, c)
}

// agree has this host take what is stored, and stores what it knows better.
func (b *pinBook) agree(ctx context.Context) error {
	if len(b.news) > 0 {
		if err := b.Pins.TakePins(ctx, b.news); err != nil {
			return ofLedger(err)
		}
		b.news = nil
	}
	mine, err := b.Pins.PinChanges(ctx)
	if err != nil {
		return ofLedger(err)
	}
	for _, c := range mine {
		name := b.pinName(c.Pin.Network)
		if stored, has := b.stored[name]; has && !c.After(stored) {
			continue
		}
		value, err := json.Marshal(c)
		if err != nil {
			continue // it is invalid, and would be in the next attempt
		}
		// If this overwrites a later one, whoever knows that stores it again.
		if err := b.store(ctx, b.kv, name, value); err != nil {
			return err
		}
		b.stored[name] = c
	}
	return nil
}

func (b *pinBook) pinName(network netip.Prefix) string {
	return b.sealer.name("pin " + network.String())
}
