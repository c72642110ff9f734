package admission

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestANetworkHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shares := Shares{
			Total:      Share{Connections: 3, Starts: 2, Bytes: 100},
			PerNetwork: Share{Connections: 2, Starts: 1, Bytes: 50},
		}
		one, two, three := prefix("192.0.2.1"), prefix("2001:db8::1"), prefix("2001:db8:1::1")
		if one != prefix("::ffff:192.0.2.255") || one == prefix("192.0.3.1") || two == three || two != prefix("2001:db8:0:ffff::") {
			t.Fatal("networks are not /24 and /48")
		}
		c := New()
		enter := func(from string, want bool) {
			t.Helper()
			if got := c.Enter(prefix(from), shares); got != want {
				t.Errorf("%s enters: %v", from, got)
			}
		}
		enter("192.0.2.1", true)
		enter("192.0.2.2", true)
		enter("192.0.2.3", false)
		enter("2001:db8::1", true)
		enter("2001:db8:1::1", false) // the whole house is full
		c.Leave(two)
		enter("2001:db8:1::1", true)

		for range 10 {
			if !c.Start(one, shares) {
				t.Fatal("no burst")
			}
		}
		if c.Start(one, shares) || !c.Start(two, shares) {
			t.Error("starts are not shared out")
		}
		time.Sleep(time.Second)
		if !c.Start(one, shares) || c.Start(one, shares) {
			t.Error("starts do not come back with time")
		}

		c.Use(one, shares, 30_000)
		if c.Room(one, shares) || !c.Room(two, shares) {
			t.Error("bytes are not shared out")
		}
		time.Sleep(time.Minute)
		if !c.Room(one, shares) {
			t.Error("bytes do not come back with time")
		}
	})
}

func TestManyNetworksAreForgotten(t *testing.T) {
	shares := Shares{Total: Share{Starts: 1000}, PerNetwork: Share{Starts: 100}}
	c := New()
	for i := range 3 * maxNetworks {
		c.Start(Network(netipFrom(i)), shares)
	}
	if len(c.networks) > maxNetworks {
		t.Errorf("%d networks", len(c.networks))
	}
}

func prefix(addr string) netip.Prefix { return Network(netip.MustParseAddr(addr)) }

func netipFrom(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10 + byte(i>>16), byte(i >> 8), byte(i), 1})
}
