package fallback

import (
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"time"

	"postern/internal/admission"
	"postern/sessionticket"
)

// MaxAge is how long a state is kept after the sender was last seen, or after it was restored: the
// clock may have jumped while no process ran, and would make all states too old at once. A stored
// [State] that is older can be deleted.
const MaxAge = 30 * 24 * time.Hour

// memory holds at most max states, and a few more while one is added.
type memory struct {
	max     int
	initial sessionticket.Mode // of senders without a state
	entries map[key]*entry
	news    map[key]struct{} // of the entries, those that other hosts have to know
}

func newMemory(max int, initial sessionticket.Mode) memory {
	return memory{max: max, initial: initial, entries: make(map[key]*entry), news: make(map[key]struct{})}
}

// key is the key of a state. Senders of one network with different fingerprints are
// different software: what works for one says nothing about another.
type key struct {
	network     netip.Prefix
	fingerprint string
}

func (s *State) key() key { return key{s.Network, s.Fingerprint} }

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

// drop deletes the state with key k.
func (m *memory) drop(k key) {
	delete(m.entries, k)
	delete(m.news, k)
}

// expire deletes the state with key k if it is too old.
func (m *memory) expire(k key, now time.Time) []Decision {
	known := m.entries[k]
	if known == nil || m.recall(k, now) != nil {
		return nil
	}
	m.drop(k)
	if known.Since.IsZero() {
		return nil
	}
	forgotten := State{Network: k.network, Fingerprint: k.fingerprint, Mode: m.initial}
	return forgotten.decide(Forgotten, known.Mode, "not seen since "+stamp(known.Seen), now)
}

// add adds a state and evicts others if there are too many.
func (m *memory) add(known *entry, now time.Time) []Decision {
	m.entries[known.key()] = known
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
	return []Decision{{At: now, Kind: Forgotten, To: m.initial, Why: why}}
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
		m.drop(known.key())
	}
	return evicted
}

// Changed returns the states that changed since the last call, in no order, to be stored:
// some 70,000 at most. It does not report evicted states; restoring them is harmless.
func (sel *Selector) Changed() []State {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	var states []State
	for known := range sel.all() {
		if known.changed {
			known.changed = false
			states = append(states, known.State)
		}
	}
	return states
}

// all yields each state, of senders and of fingerprints.
func (sel *Selector) all() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, m := range []*memory{&sel.senders, &sel.fingerprints} {
			for _, known := range m.entries {
				if !yield(known) {
					return
				}
			}
		}
	}
}

// Restore adds stored states, replacing those with the same keys. It ignores invalid states,
// and if there are too many those that [Selector.Learn] would evict. If the initial mode has
// changed since, senders in the old one get the new one, and none keeps a less compatible one.
func (sel *Selector) Restore(states []State, now time.Time) {
	sel.mu.Lock()
	defer sel.mu.Unlock()
	for _, state := range states {
		if !state.valid() {
			continue
		}
		state.fit(sel.initial, now)
		sel.memoryOf(state.Network).entries[state.key()] = &entry{State: state, used: now}
	}
	sel.senders.shrink(sel.senders.max)
	sel.fingerprints.shrink(sel.fingerprints.max)
}

// memoryOf returns the memory of states with that network.
func (sel *Selector) memoryOf(network netip.Prefix) *memory {
	if network == Everywhere {
		return &sel.fingerprints
	}
	return &sel.senders
}

// valid reports whether a state that was read can be used.
func (s *State) valid() bool {
	return int(s.Mode) < modes && int(s.Helps) < modes && int(s.Trial) < modes &&
		s.Retries >= 0 && s.Trials >= 0 && s.Penalty >= 0 && len(s.Closers) <= maxClosers
}

// fit changes a state that was read so that it fits the initial mode and the clock.
func (s *State) fit(initial sessionticket.Mode, now time.Time) {
	if s.Since.IsZero() && s.Mode != initial || !s.Since.IsZero() && !safer(s.Mode, initial) {
		s.set(initial, initial, "", time.Time{})
	}
	// The clock ran ahead, or that of another host does.
	if s.Seen.After(now) {
		s.Seen = now
	}
	if longest := now.Add(wait(s.Retries)); s.RetryAt.After(longest) {
		s.RetryAt = longest
	}
}
