package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/durable"
	"postern/internal/logkey"
)

// ringName is the name of the ring for SMTP listeners: those with STARTTLS and those in TLS are one
// service and have the same certificates. Other listeners do not share keys.
const ringName = "smtp"

// shareTickets takes the stored ring, turns it when it is due, and gives others the ring of this
// host if there is none. It returns when the watch has ended.
func (f *Fleet) shareTickets(ctx context.Context, js jetstream.JetStream, again <-chan struct{}) error {
	kv, watch, err := openBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: f.Prefix + "-tickets", Description: "keys of session tickets, encrypted",
		MaxValueSize: 8 << 10, MaxBytes: 1 << 20,
	})
	if err != nil {
		return err
	}
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		// What was sent while the connection was lost may not arrive: so look, too.
		if err := f.agree(ctx, kv); err != nil {
			return err
		}
		f.note(partTickets, nil)
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			return nil
		case _, ok := <-watch.items:
			if !ok {
				return watch.err
			}
		case <-tick.C:
		}
	}
}

// agree compares the ring of this host with the stored one: it takes a later one, stores a later
// one, and turns it when it is due.
func (f *Fleet) agree(ctx context.Context, kv jetstream.KeyValue) error {
	mine := f.current()
	entry, err := get(ctx, kv, ringName)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		_, err := ask(ctx, func(ctx context.Context) (uint64, error) {
			return kv.Create(ctx, ringName, f.sealer.seal(ringName, mine.encode()))
		})
		f.agreed = f.agreed || err == nil
		return lostRace(err)
	}
	if err != nil {
		return err
	}
	stored, err := f.open(entry.Value())
	overwritten := errors.Is(err, errSecret) && f.mayPutBack()
	if err != nil && !overwritten {
		return fmt.Errorf("the stored ring %w", err)
	}
	f.agreed = true
	next := stored
	switch {
	case overwritten, stored.Turn < mine.Turn: // or NATS was restored, or this host turned it alone
		next = mine
	case stored.is(mine) && f.due(stored, turnAfter):
		next = stored.turn(f.Now())
	default:
		f.use(stored)
		return nil
	}
	_, err = ask(ctx, func(ctx context.Context) (uint64, error) {
		return kv.Update(ctx, ringName, f.sealer.seal(ringName, next.encode()), entry.Revision())
	})
	if err != nil {
		return lostRace(err) // the watch brings the winner's
	}
	f.use(next)
	return nil
}

// mayPutBack reports whether this host replaces a stored ring of another secret: one has overwritten the ring
// that was there. Hosts of another fleet with the same prefix would do so, too, so it does that now and then.
func (f *Fleet) mayPutBack() bool {
	if !f.agreed || time.Since(f.putBack) < checkInterval {
		return false
	}
	f.putBack = time.Now()
	return true
}

// runAlone turns the ring of a host that has not reached NATS for long.
func (f *Fleet) runAlone(ctx context.Context) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		if r := f.current(); f.due(r, aloneAfter) {
			f.use(r.turn(f.Now()))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// due reports whether this host turns the ring that it uses, whose key shall encrypt for that long. A ring
// that was turned while this host ran is not due for a day, whatever it says of its age: of two hosts
// whose clocks differ by days, each would take the other's for too old, and turn it again at once.
func (f *Fleet) due(r ring, age time.Duration) bool {
	now := f.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	return r.dueAfter(age, now) && now.Sub(f.turned) >= turnAfter
}

func (f *Fleet) current() ring {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ring
}

// use takes a ring into use, and keeps it for the next start.
func (f *Fleet) use(r ring) {
	f.mu.Lock()
	same := f.ring.is(r)
	f.ring = r
	if !same {
		f.turned = f.Now()
	}
	f.mu.Unlock()
	if same {
		return
	}
	f.UseKeys(r.keys())
	f.Log.Debug("fleet ticket keys changed", logkey.Turn, r.Turn)
	f.save(r)
}

func (f *Fleet) save(r ring) {
	if err := durable.WriteFile(f.File, f.sealer.seal(ringName, r.encode()), 0o600); err != nil {
		f.Log.Warn("cannot save ticket keys; senders will not resume after a restart without NATS", logkey.Err, err)
	}
}

// load returns the ring of the file, or a new one.
func (f *Fleet) load() ring {
	sealed, err := os.ReadFile(f.File)
	if err == nil {
		var r ring
		if r, err = f.open(sealed); err == nil {
			return r
		}
		err = fmt.Errorf("%s %w", f.File, err)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		f.Log.Warn("cannot load ticket keys; starting with new ones", logkey.Err, err)
	}
	r := newRing(f.Now())
	f.save(r)
	return r
}

func (f *Fleet) open(sealed []byte) (ring, error) {
	text, err := f.sealer.open(ringName, sealed)
	if err != nil {
		return ring{}, err
	}
	return decodeRing(text)
}
