package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/fallback"
	"postern/internal/logkey"
)

const (
	// Bounds of what is stored: 70,000 states take some 60 MiB.
	maxStatesSize = 256 << 20
	maxStateSize  = 64 << 10

	// A host tells news in portions, at most one in an interval, so that a flood of failing
	// handshakes costs NATS no more than that.
	newsPortion  = 20
	newsInterval = 20 * time.Millisecond
)

// shareStates takes the states of other hosts and gives them the news of this one. It returns when
// the watch has ended.
func (f *Fleet) shareStates(ctx context.Context, js jetstream.JetStream, again <-chan struct{}) error {
	kv, watch, err := openBucket(ctx, js, jetstream.KeyValueConfig{
		Bucket: f.Prefix + "-senders", Description: "what the fallback learned about senders, encrypted",
		TTL: fallback.MaxAge, MaxValueSize: maxStateSize, MaxBytes: maxStatesSize,
	})
	if err != nil {
		return err
	}
	seen, err := f.catchUp(ctx, kv, watch)
	if err != nil {
		return err
	}
	f.note(partStates, nil)
	check := time.NewTicker(checkInterval)
	defer check.Stop()
	rest := time.NewTimer(0) // until the next portion of news
	defer rest.Stop()
	news := f.Selector.HasNews()
	for lag := (watchLag{}); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			return nil
		case it, ok := <-watch.items:
			if !ok {
				return watch.err
			}
			f.take(it)
			seen = it.revision
		case <-news:
			if err := f.put(ctx, kv, f.Selector.News(newsPortion)); err != nil {
				return err
			}
			news = nil
			rest.Reset(newsInterval)
		case <-rest.C:
			news = f.Selector.HasNews()
		case <-check.C:
			if err := lag.check(ctx, kv, seen); err != nil {
				return err
			}
		}
	}
}

// catchUp takes what is stored and stores what this host knows better: what it learned while it was
// alone, or all if NATS lost it. It returns the revision up to which it has read.
func (f *Fleet) catchUp(ctx context.Context, kv jetstream.KeyValue, watch *watch) (seen uint64, err error) {
	stored := make(map[string]fallback.Stamp)
	for {
		select {
		case <-ctx.Done():
			return seen, ctx.Err()
		case <-time.After(electionTime):
			return seen, errors.New("no answer while reading what is stored")
		case it, ok := <-watch.items:
			if !ok {
				return seen, watch.err
			}
			if it != nil {
				if stamp := f.take(it); stamp != (fallback.Stamp{}) { // anybody's keys take no memory
					stored[it.key] = stamp
				}
				seen = it.revision
				continue
			}
		}
		break
	}
	var better []fallback.State
	for _, state := range f.Selector.Stamped() {
		if state.Stamp.After(stored[f.stateName(&state)]) {
			better = append(better, state)
		}
	}
	return seen, f.put(ctx, kv, better)
}

// stateName is the name under which a state is stored.
func (f *Fleet) stateName(s *fallback.State) string {
	return f.sealer.name(s.Network.String() + " " + s.Fingerprint)
}

// put stores states. What it returns an error for is stored when the host catches up.
func (f *Fleet) put(ctx context.Context, kv jetstream.KeyValue, states []fallback.State) error {
	for i := range states {
		name := f.stateName(&states[i])
		value, err := json.Marshal(states[i])
		if err != nil {
			continue // it is invalid, and would be in the next attempt
		}
		if err := f.store(ctx, kv, name, value); err != nil {
			return err
		}
	}
	return nil
}

// take adopts a stored state and returns its stamp. It ignores what it cannot read: another
// version of Postern may have written it, or another fleet.
func (f *Fleet) take(it *item) fallback.Stamp {
	if it.removed {
		return fallback.Stamp{}
	}
	var state fallback.State
	err := f.decode(it, &state)
	if err == nil && f.stateName(&state) != it.key {
		err = errors.New("has another sender's name")
	}
	if err != nil {
		f.Log.Debug("ignoring a state of the fleet", logkey.Entry, it.key, logkey.Err, err)
		return fallback.Stamp{}
	}
	if decisions := f.Selector.Adopt([]fallback.State{state}, f.Now()); len(decisions) > 0 {
		f.Decided(decisions)
	}
	return state.Stamp
}
