package fallback

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Memory is how long a sender is remembered that does not come. A stored [State] that was
// not seen for longer can be deleted.
const Memory = 30 * 24 * time.Hour

// memory holds at most max states.
type memory struct {
	max     int
	entries map[key]*entry
}

type key struct {
	network     netip.Prefix
	fingerprint string
}

type entry struct {
	State
	changed bool // since it was last stored
}

// recall returns what is remembered of a sender, or nil.
func (m *memory) recall(k key, now time.Time) *entry {
	known := m.entries[k]
	if known == nil || now.Sub(known.Seen) > Memory {
		return nil
	}
	return known
}

// expire forgets a sender that was not seen for long.
func (m *memory) expire(k key, now time.Time) []Decision {
	known := m.entries[k]
	if known == nil || m.recall(k, now) != nil {
		return nil
	}
	delete(m.entries, k)
	if known.Since.IsZero() {
		return nil
	}
	return known.decide(Forgotten, known.Rung, "not seen since "+known.Seen.UTC().Format(time.DateTime), now)
}

// add remembers one more, and makes room for it if need be.
func (m *memory) add(known *entry, now time.Time) []Decision {
	m.entries[key{known.Network, known.Fingerprint}] = known
	if len(m.entries) <= m.max {
		return nil
	}
	var learned int
	for _, gone := range m.shrink(m.max - m.max/16) { // by some at once: it takes a look at all
		if !gone.Since.IsZero() {
			learned++
		}
	}
	if learned == 0 {
		return nil
	}
	why := fmt.Sprintf("%d senders off the first rung, to make room for others", learned)
	return []Decision{{At: now, Kind: Forgotten, Why: why}}
}

// shrink forgets all but the given number and returns those forgotten. Each area has an
// equal share, in it each network, and of a network the most recently seen stay. So
// whoever comes with many fingerprints, or from many networks of one provider, pushes out
// its own first.
func (m *memory) shrink(keep int) []*entry {
	all := make([]ranked, 0, len(m.entries))
	for _, known := range m.entries {
		all = append(all, ranked{known, 0})
	}
	slices.SortFunc(all, func(a, b ranked) int { return b.Seen.Compare(a.Seen) })
	rank(all, func(s *State) netip.Prefix { return s.Network })
	rank(all, func(s *State) netip.Prefix { return area(s.Network) })
	gone := make([]*entry, 0, len(all))
	for _, r := range all[min(keep, len(all)):] {
		delete(m.entries, key{r.Network, r.Fingerprint})
		gone = append(gone, r.entry)
	}
	return gone
}

type ranked struct {
	*entry
	rank int // how many of its group stand before it
}

// rank orders all so that the first of each group come first, then the second of each, and
// so on, and keeps their order otherwise.
func rank(all []ranked, group func(*State) netip.Prefix) {
	seen := make(map[netip.Prefix]int)
	for i := range all {
		g := group(&all[i].State)
		all[i].rank = seen[g]
		seen[g]++
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
}
