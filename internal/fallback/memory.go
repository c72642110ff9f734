package fallback

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A Sender is who asks for a handshake.
type Sender struct {
	Addr        netip.Addr // its address; the zero Addr where that is unknown
	Fingerprint string     // of its ClientHello, the same whether it resumes or not
}

// key is what the memory of s is found by. Senders of one network with different
// fingerprints are different software: what one of them survives says nothing of the other.
func (s Sender) key() key { return key{Network(s.Addr), s.Fingerprint} }

// everywhere stands for the network in the memory of a fingerprint as a whole.
var everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)

// Network is the network that a sender is remembered by: the /24 of an IPv4 address, the
// /48 of an IPv6 one, without its zone. It is the zero Prefix for the zero Addr.
func Network(addr netip.Addr) netip.Prefix { return cut(addr, 24, 48) }

// area is what networks have in common that are not unrelated: the /16 of IPv4, the /32 of
// IPv6, which is what a registry gives one provider.
func area(network netip.Prefix) netip.Prefix { return cut(network.Addr(), 16, 32) }

func cut(addr netip.Addr, bits4, bits6 int) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return netip.PrefixFrom(addr, bits4).Masked()
	}
	return netip.PrefixFrom(addr, bits6).Masked() // zero for the zero Addr
}

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

// Changed returns the states that have changed since the last call, in no order, to be
// stored. There are at most as many as are remembered: some 70,000. A
// state that had to make room for others is not told of; it does no harm when it is restored.
func (l *Ladder) Changed() []State {
	l.mu.Lock()
	defer l.mu.Unlock()
	var states []State
	for _, m := range []*memory{&l.senders, &l.fingerprints} {
		for _, known := range m.entries {
			if known.changed {
				known.changed = false
				states = append(states, known.State)
			}
		}
	}
	return states
}

// Restore takes stored states back, in place of those with the same keys. States that are
// not possible are left out, and if there are too many those that [Ladder.Learn] would
// forget. If the first rung is not the one they were made with, senders that had not left that
// begin at the new one, and nobody is on a better one.
func (l *Ladder) Restore(states []State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, state := range states {
		if state.Rung >= rungs || state.Helps >= rungs || state.Retries < 0 || state.Debt < 0 {
			continue
		}
		if state.Since.IsZero() || state.Rung < l.first {
			state.put(l.first, l.first, "", time.Time{})
		}
		of := &l.senders
		if state.Network == everywhere {
			of = &l.fingerprints
		}
		of.entries[key{state.Network, state.Fingerprint}] = &entry{State: state}
	}
	l.senders.shrink(l.senders.max)
	l.fingerprints.shrink(l.fingerprints.max)
}
