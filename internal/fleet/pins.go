package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/fallback"
	"postern/internal/logkey"
)

// pinInterval is how often the pins of this host are compared with the shared ones. The server
// itself looks every two seconds whether the operator changed them.
const pinInterval = time.Second

// A sharedPin is a pin, or that one was removed. The last change wins at every host.
type sharedPin struct {
	Pin     fallback.Pin `json:"pin"`
	Removed bool         `json:"removed,omitempty"`
	Changed time.Time    `json:"changed"`
	Host    string       `json:"host"` // where
}

func (p sharedPin) after(other sharedPin) bool {
	if !p.Changed.Equal(other.Changed) {
		return p.Changed.After(other.Changed)
	}
	return p.Host > other.Host
}

// isLike reports whether local, if has, is what p says.
func (p sharedPin) isLike(local fallback.Pin, has bool) bool {
	if p.Removed || !has {
		return p.Removed == !has
	}
	return local.Mode == p.Pin.Mode && local.Why == p.Pin.Why && local.Since.UnixMilli() == p.Pin.Since.UnixMilli()
}

// A pinBook is what one host knows of the pins of all.
type pinBook struct {
	*Fleet
	kv     jetstream.KeyValue
	known  map[netip.Prefix]sharedPin
	theirs map[netip.Prefix]bool // of other hosts, until this host has applied them
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
	defer watch.Stop()
	b := &pinBook{Fleet: f, kv: kv, known: make(map[netip.Prefix]sharedPin), theirs: make(map[netip.Prefix]bool)}
	tick := time.NewTicker(pinInterval)
	defer tick.Stop()
	for complete := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			return nil
		case entry, ok := <-watch.Updates():
			switch {
			case !ok:
				return errors.New("watch ended")
			case entry != nil:
				b.take(entry)
				continue
			}
			complete = true
		case <-tick.C:
		}
		if complete {
			if err := b.compare(ctx); err != nil {
				return err
			}
			f.note(partPins, nil)
		}
	}
}

// take notes a stored pin if it is later than what is known.
func (b *pinBook) take(entry jetstream.KeyValueEntry) {
	if entry.Operation() != jetstream.KeyValuePut {
		return
	}
	var p sharedPin
	err := b.decode(entry, &p)
	if err == nil && (!p.Pin.Network.IsValid() || b.pinName(p.Pin.Network) != entry.Key()) {
		err = errors.New("has another network's name")
	}
	if err != nil {
		b.Log.Debug("ignoring a pin of the fleet", logkey.Entry, entry.Key(), logkey.Err, err)
		return
	}
	if known, ok := b.known[p.Pin.Network]; !ok || p.after(known) {
		b.known[p.Pin.Network] = p
		b.theirs[p.Pin.Network] = true
	}
}

// compare applies what other hosts changed, and shares what the operator changed at this one.
func (b *pinBook) compare(ctx context.Context) error {
	local := make(map[netip.Prefix]fallback.Pin)
	for _, pin := range b.Selector.Pins() {
		local[pin.Network] = pin
	}
	for network, p := range b.known {
		pin, has := local[network]
		delete(local, network)
		switch {
		case p.isLike(pin, has):
			delete(b.theirs, network)
		case b.theirs[network]:
			b.apply(p) // the server takes it up within two seconds
		default:
			pin.Network = network
			if err := b.share(ctx, sharedPin{Pin: pin, Removed: !has, Changed: b.after(p.Changed)}); err != nil {
				return err
			}
		}
	}
	for _, pin := range local { // not shared yet
		if err := b.share(ctx, sharedPin{Pin: pin, Changed: pin.Since}); err != nil {
			return err
		}
	}
	return nil
}

// after returns the present time, or one after a change that a host with another clock made.
func (b *pinBook) after(change time.Time) time.Time {
	if now := b.Now(); now.After(change) {
		return now
	}
	return change.Add(time.Millisecond)
}

func (b *pinBook) apply(p sharedPin) {
	err := error(nil)
	if p.Removed {
		err = b.RemovePin(p.Pin.Network)
	} else {
		err = b.SetPin(p.Pin)
	}
	if err != nil {
		b.Log.Debug("cannot apply a pin of the fleet yet", logkey.Network, p.Pin.Network, logkey.Err, err)
	}
}

func (b *pinBook) share(ctx context.Context, p sharedPin) error {
	p.Host = b.Name
	value, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding a pin: %w", err)
	}
	name := b.pinName(p.Pin.Network)
	if err := b.store(ctx, b.kv, name, value); err != nil {
		return err
	}
	b.known[p.Pin.Network] = p
	return nil
}

func (b *pinBook) pinName(network netip.Prefix) string {
	return b.sealer.name("pin " + network.String())
}
