package fallback

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"postern/internal/admission"
)

// MaxAge is how long a state is kept after the sender was last seen, or after it was restored: the
// clock may have jumped while no process ran, and would make all states too old at once. A stored
// [State] that is older can be deleted.
const MaxAge = 30 * 24 * time.Hour

// memory holds at most max states, and a few more while one is added.
type memory struct {
	max     int
	entries map[key]*entry
}

// key is the key of a state. Senders of one network with different fingerprints are
// different software: what works for one says nothing about another.
type key struct {
	network     netip.Prefix
	fingerprint string
}

func (s Sender) key() key { return key{admission.Network(s.Addr), s.Fingerprint} }

type entry struct {
	State
	used    time.Time // when the sender was seen, or the state restored, by this process
	changed bool      // since it was last stored
}

// recall returns the state with key k, or nil.
func (m *memory) recall(k key, now time.Time) *entry {
	known := m.entries[k]
	if known == nil || now.Sub(known.used) > MaxAge {
		return nil
	}
	return known
}

// expire deletes the state with key k if it is too old.
func (m *memory) expire(k key, now time.Time) []Decision {
	known := m.entries[k]
	if known == nil || m.recall(k, now) != nil {
		return nil
	}
	delete(m.entries, k)
	if known.Since.IsZero() {
		return nil
	}
	return known.decide(Forgotten, known.Mode, "not seen since "+stamp(known.Seen), now)
}

// add adds a state and evicts others if there are too many.
func (m *memory) add(known *entry, now time.Time) []Decision {
	m.entries[key{known.Network, known.Fingerprint}] = known
	if len(m.entries) <= m.max {
		return nil
	}
	var changed int
	for _, evicted := range m.shrink(m.max - m.max/16) { // several at once, since it sorts all
		if !evicted.Since.IsZero() {
			changed++
		}
	}
	if changed == 0 {
		return nil
	}
	why := fmt.Sprintf("evicted %d senders not in the initial mode", changed)
	return []Decision{{At: now, Kind: Forgotten, Why: why}}
}

// shrink evicts all but the given number of states and returns the evicted ones. Each area
// has an equal share, in it each network, and a network keeps its most recently seen states.
// So a client with many fingerprints, or with many networks of one provider, evicts its own
// states first.
func (m *memory) shrink(keep int) []*entry {
	all := slices.Collect(maps.Values(m.entries))
	slices.SortFunc(all, func(a, b *entry) int { return b.Seen.Compare(a.Seen) })
	admission.TakeTurns(all, func(known *entry) netip.Prefix { return known.Network })
	evicted := all[min(keep, len(all)):]
	for _, known := range evicted {
		delete(m.entries, key{known.Network, known.Fingerprint})
	}
	return evicted
}

// Changed returns the states that changed since the last call, in no order, to be stored:
// some 70,000 at most. It does not report evicted states; restoring them is harmless.
func (sel *Selector) Changed() []State {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	var states []State
	for _, m := range []*memory{&sel.senders, &sel.fingerprints} {
		for _, known := range m.entries {
			if known.changed {
				known.changed = false
				states = append(states, known.State)
			}
		}
	}
	return states
}

// Restore adds stored states, replacing those with the same keys. It ignores invalid states,
// and if there are too many those that [Selector.Learn] would evict. If the initial mode has
// changed since, senders in the old one get the new one, and none keeps a less compatible one.
func (sel *Selector) Restore(states []State, now time.Time) {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	for _, state := range states {
		if int(state.Mode) >= modes || int(state.Helps) >= modes || int(state.Trial) >= modes || state.Retries < 0 || state.Trials < 0 || state.Penalty < 0 || len(state.Closers) > maxClosers {
			continue
		}
		if state.Since.IsZero() && state.Mode != sel.initial || !state.Since.IsZero() && !safer(state.Mode, sel.initial) {
			state.set(sel.initial, sel.initial, "", time.Time{})
		}
		if state.Seen.After(now) { // the clock ran ahead
			state.Seen = now
		}
		m := &sel.senders
		if state.Network == Everywhere {
			m = &sel.fingerprints
		}
		m.entries[key{state.Network, state.Fingerprint}] = &entry{State: state, used: now}
	}
	sel.senders.shrink(sel.senders.max)
	sel.fingerprints.shrink(sel.fingerprints.max)
}
