package admission

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestEachNetworkHasItsQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := Quotas{
			Total:      Quota{Connections: 3, Starts: 2, Bytes: 100},
			PerNetwork: Quota{Connections: 2, Starts: 1, Bytes: 50},
		}
		one, two, three := prefix("192.0.2.1"), prefix("2001:db8::1"), prefix("2001:db8:1::1")
		if one != prefix("::ffff:192.0.2.255") || one == prefix("192.0.3.1") || two == three || two != prefix("2001:db8:0:ffff::") {
			t.Fatal("networks are not /24 and /48")
		}
		c := New()
		connect := func(from string, want bool) {
			t.Helper()
			if got := c.Connect(prefix(from), quotas); got != want {
				t.Errorf("%s connects: %v", from, got)
			}
		}
		connect("192.0.2.1", true)
		connect("192.0.2.2", true)
		connect("192.0.2.3", false)
		connect("2001:db8::1", true)
		connect("2001:db8:1::1", false) // the total is reached
		c.Disconnect(two)
		connect("2001:db8:1::1", true)

		for range 10 {
			if !c.AllowStart(one, quotas) {
				t.Fatal("no burst")
			}
		}
		if c.AllowStart(one, quotas) || !c.AllowStart(two, quotas) {
			t.Error("starts are not counted by network")
		}
		time.Sleep(time.Second)
		if !c.AllowStart(one, quotas) || c.AllowStart(one, quotas) {
			t.Error("starts do not recover with time")
		}

		c.AddBytes(one, quotas, 30_000)
		if c.AllowBytes(one, quotas) || !c.AllowBytes(two, quotas) {
			t.Error("bytes are not counted by network")
		}
		time.Sleep(time.Minute)
		if !c.AllowBytes(one, quotas) {
			t.Error("bytes do not recover with time")
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	quotas := Quotas{Total: Quota{Starts: 1000}, PerNetwork: Quota{Starts: 100}}
	c := New()
	for i := range 3 * maxNetworks {
		c.AllowStart(Network(netipFrom(i)), quotas)
	}
	if len(c.networks) > maxNetworks {
		t.Errorf("%d networks", len(c.networks))
	}
}

func prefix(addr string) netip.Prefix { return Network(netip.MustParseAddr(addr)) }

func netipFrom(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10 + byte(i>>16), byte(i >> 8), byte(i), 1})
}
