package admission

import (
	"cmp"
	"net/netip"
	"slices"
)

// TakeTurns orders what belongs to networks so that none displaces the others, where only the
// first ones are kept: wide networks take turns, in them networks. What one network has keeps its
// order.
func TakeTurns[T any](all []T, network func(T) netip.Prefix) {
	takeTurns(all, network)
	takeTurns(all, func(one T) netip.Prefix { return Wide(network(one).Addr()) })
}

// takeTurns orders all so that the first of each group come first, then the second of each, and so
// on, and keeps their order otherwise.
func takeTurns[T any](all []T, group func(T) netip.Prefix) {
	type turn struct {
		of     T
		number int // how many of its group come before it
	}
	turns, seen := make([]turn, len(all)), make(map[netip.Prefix]int)
	for i, one := range all {
		g := group(one)
		turns[i] = turn{one, seen[g]}
		seen[g]++
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.number, b.number) })
	for i, t := range turns {
		all[i] = t.of
	}
}

// A Memory remembers values that belong to networks, a bounded number. When there are too many,
// networks take turns, and each loses those that it set longest ago: whoever has many displaces
// their own. It is not safe for concurrent use.
type Memory[K comparable, V any] struct {
	most    int
	network func(K) netip.Prefix
	all     map[K]*remembered[K, V]
	count   map[netip.Prefix]int // of all, by network
	sets    uint64               // calls of Set
}

type remembered[K comparable, V any] struct {
	key   K
	value V
	set   uint64 // which call of Set
}

// NewMemory returns an empty memory for so many values. A key belongs to a network.
func NewMemory[K comparable, V any](most int, network func(K) netip.Prefix) *Memory[K, V] {
	return &Memory[K, V]{most: most, network: network, all: make(map[K]*remembered[K, V]), count: make(map[netip.Prefix]int)}
}

// Get returns the value of a key, and whether there is one.
func (m *Memory[K, V]) Get(key K) (value V, ok bool) {
	if one := m.all[key]; one != nil {
		return one.value, true
	}
	return value, false
}

// Set sets the value of a key. It forgets others if there are too many.
func (m *Memory[K, V]) Set(key K, value V) {
	m.sets++
	if one := m.all[key]; one != nil {
		one.value, one.set = value, m.sets
		return
	}
	m.all[key] = &remembered[K, V]{key, value, m.sets}
	m.count[m.network(key)]++
	if len(m.all) > m.most {
		m.shrink(m.most - m.most/16) // several at once, since it sorts all
	}
}

// Delete deletes a key.
func (m *Memory[K, V]) Delete(key K) {
	if m.all[key] == nil {
		return
	}
	delete(m.all, key)
	network := m.network(key)
	if m.count[network]--; m.count[network] == 0 {
		delete(m.count, network)
	}
}

// Len returns how many values there are.
func (m *Memory[K, V]) Len() int { return len(m.all) }

// CountOf returns how many values a network has.
func (m *Memory[K, V]) CountOf(network netip.Prefix) int { return m.count[network] }

func (m *Memory[K, V]) shrink(keep int) {
	all := make([]*remembered[K, V], 0, len(m.all))
	for _, one := range m.all {
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b *remembered[K, V]) int { return cmp.Compare(b.set, a.set) })
	TakeTurns(all, func(one *remembered[K, V]) netip.Prefix { return m.network(one.key) })
	for _, one := range all[keep:] {
		m.Delete(one.key)
	}
}
