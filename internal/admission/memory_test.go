package admission

import (
	"fmt"
	"net/netip"
	"testing"
)

// A place is a key of a memory.
type place struct {
	network netip.Prefix
	name    string
}

func newPlaces(most int) *Memory[place, int] {
	return NewMemory[place, int](most, func(p place) netip.Prefix { return p.network })
}

// A stranger that fills the memory loses what is its own, from however many networks of one
// provider it comes. Others keep what they have, however old that is.
func TestWhoeverHasManyDisplacesTheirOwn(t *testing.T) {
	for name, stranger := range map[string]func(i int) netip.Prefix{
		"one network":        func(int) netip.Prefix { return netip.MustParsePrefix("203.0.113.0/24") },
		"all of an IPv4 /16": func(i int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("203.0.%d.0/24", i%256)) },
		"an IPv6 /32":        func(i int) netip.Prefix { return netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/48", i)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newPlaces(1000)
			var honest []place
			for i := range 20 {
				honest = append(honest, place{netip.MustParsePrefix(fmt.Sprintf("192.%d.2.0/24", i)), "a"})
				m.Set(honest[i], i)
			}
			for i := range 5000 {
				m.Set(place{stranger(i), fmt.Sprint(i)}, -i)
			}
			for i, key := range honest {
				if value, ok := m.Get(key); !ok || value != i {
					t.Errorf("%v: %d, %v", key.network, value, ok)
				}
			}
			if n := len(m.all); n < 900 || n > 1000 {
				t.Errorf("%d are remembered, want nearly 1,000", n)
			}
			if _, ok := m.Get(place{stranger(4999), "4999"}); !ok {
				t.Error("the stranger's last one is forgotten, and older ones are not")
			}
		})
	}
}

// What was set again is not the oldest.
func TestTheOldestOfANetworkIsForgotten(t *testing.T) {
	m := newPlaces(16)
	network := netip.MustParsePrefix("192.0.2.0/24")
	for i := range 16 {
		m.Set(place{network, fmt.Sprint(i)}, i)
	}
	m.Set(place{network, "0"}, 100)
	m.Set(place{network, "new"}, 0)
	for name, want := range map[string]bool{"0": true, "1": false, "2": false, "3": true, "15": true, "new": true} {
		if _, ok := m.Get(place{network, name}); ok != want {
			t.Errorf("%s: %v, want %v", name, ok, want)
		}
	}
	if value, _ := m.Get(place{network, "0"}); value != 100 || m.CountOf(network) != 15 {
		t.Errorf("the value is %d, of %d; want 100, of 15", value, m.CountOf(network))
	}
}

func TestAMemoryCountsItsNetworks(t *testing.T) {
	m := newPlaces(10)
	a, b := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24")
	m.Set(place{a, "1"}, 1)
	m.Set(place{a, "2"}, 1)
	m.Set(place{b, "1"}, 1)
	m.Delete(place{a, "1"})
	m.Delete(place{a, "1"})
	m.Delete(place{b, "1"})
	if m.CountOf(a) != 1 || m.CountOf(b) != 0 || len(m.count) != 1 || len(m.all) != 1 {
		t.Errorf("%d and %d of %d", m.CountOf(a), m.CountOf(b), len(m.all))
	}
	if _, ok := m.Get(place{a, "1"}); ok {
		t.Error("a deleted one is remembered")
	}
}
