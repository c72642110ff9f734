package admission

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestNetworksAroundAnAddress(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":          "192.0.2.1/32 192.0.2.0/24 192.0.0.0/16 192.0.2.0/24",
		"::ffff:192.0.2.1":   "192.0.2.1/32 192.0.2.0/24 192.0.0.0/16 192.0.2.0/24",
		"2001:db8:1:2:3::4":  "2001:db8:1:2::/64 2001:db8:1::/48 2001:db8::/32 2001:db8::/32",
		"fe80::1:2:3:4%eth0": "fe80::/64 fe80::/48 fe80::/32 fe80::/32",
	} {
		a := netip.MustParseAddr(addr)
		if got := fmt.Sprint(Host(a), Network(a), Wide(a), Holder(a)); got != want {
			t.Errorf("around %s: %s, want %s", addr, got, want)
		}
	}
	if zero := (netip.Addr{}); Host(zero).IsValid() || Network(zero).IsValid() || Wide(zero).IsValid() || Holder(zero).IsValid() {
		t.Error("there is a network around no address")
	}
}

func TestEachNetworkHasItsQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := Quotas{
			Total:      Quota{Connections: 3, Starts: 2, Bytes: 100},
			PerNetwork: Quota{Connections: 2, Starts: 1, Bytes: 50},
		}
		one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
		neighbor := netip.MustParseAddr("192.0.2.99")
		c := New()
		connect := func(from, want string) {
			t.Helper()
			if got := fmt.Sprint(c.Connect(netip.MustParseAddr(from), quotas)); got != want {
				t.Errorf("%s connects: %v, want %v", from, got, want)
			}
		}
		connect("192.0.2.1", "<nil>")
		connect("192.0.2.2", "<nil>")
		connect("::ffff:192.0.2.3", "192.0.2.0/24")
		connect("2001:db8::1", "<nil>")
		connect("2001:db8:1::1", "total")
		c.Disconnect(two)
		connect("2001:db8:1::1", "<nil>")

		for i := range 10 {
			if r := c.AllowStart(netip.AddrFrom4([4]byte{192, 0, 2, byte(i / 2)}), quotas); r != nil {
				t.Fatalf("no burst: %v", r)
			}
		}
		if r := c.AllowStart(neighbor, quotas); r == nil || r.String() != "192.0.2.0/24" || c.AllowStart(two, quotas) != nil {
			t.Errorf("starts are not counted by network: %v", r)
		}
		time.Sleep(time.Second)
		if c.AllowStart(neighbor, quotas) != nil || c.AllowStart(neighbor, quotas) == nil {
			t.Error("starts do not recover with time")
		}

		c.AddBytes(one, quotas, 30_000)
		if c.AllowBytes(neighbor, quotas) == nil || c.AllowBytes(two, quotas) != nil {
			t.Error("bytes are not counted by network")
		}
		time.Sleep(time.Minute)
		if c.AllowBytes(neighbor, quotas) != nil {
			t.Error("bytes do not recover with time")
		}
	})
}

// Whatever one holder of addresses opens, others of the next wider network can connect.
func TestNoHolderOfAddressesTakesAllConnections(t *testing.T) {
	quotas := Quotas{Total: Quota{Connections: 10_000}, PerNetwork: Quota{Connections: 200}}
	for _, tt := range []struct {
		holds    string
		nth      func(int) netip.Addr
		want     int
		limit    string
		neighbor string
	}{
		{"an address", func(int) netip.Addr { return netip.MustParseAddr("192.0.2.1") }, 50, "192.0.2.1", "192.0.2.2"},
		{"an IPv6 /64", func(i int) netip.Addr { return v6(0, 0, i) }, 50, "2001:db8::/64", "2001:db8:0:1::1"},
		{"an IPv4 /24", func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }, 200, "192.0.2.0/24", "192.0.3.1"},
		{"an IPv6 /48", func(i int) netip.Addr { return v6(0, i, 0) }, 200, "2001:db8::/48", "2001:db8:1::1"},
		{"an IPv4 /16", func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i), byte(i >> 8)}) }, 2500, "192.0.0.0/16", "192.1.0.1"},
		{"an IPv6 /32", func(i int) netip.Addr { return v6(i, i, i) }, 2500, "2001:db8::/32", "2001:db9::1"},
	} {
		l, open := New(), 0
		var last *Reached
		for i := range 20_000 {
			if r := l.Connect(tt.nth(i), quotas); r == nil {
				open++
			} else {
				last = r
			}
		}
		if open != tt.want || last == nil || last.String() != tt.limit {
			t.Errorf("%s opens %d connections up to the limit of %v, want %d and %s", tt.holds, open, last, tt.want, tt.limit)
		}
		if r := l.Connect(netip.MustParseAddr(tt.neighbor), quotas); r != nil {
			t.Errorf("%s holds what it may, and %s is refused: %v", tt.holds, tt.neighbor, r)
		}
	}
}

// The same for handshakes and bytes.
func TestNoHolderOfAddressesUsesUpARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := Quotas{
			Total:      Quota{Starts: 1000, Bytes: 100 << 20},
			PerNetwork: Quota{Starts: 100, Bytes: 20 << 20},
		}
		l, starts := New(), 0
		for i := range 20_000 {
			if l.AllowStart(v6(i, i, i), quotas) == nil {
				starts++
			}
		}
		if starts != 2500 {
			t.Errorf("an IPv6 /32 begins %d handshakes at once, want 2500", starts)
		}
		if r := l.AllowStart(netip.MustParseAddr("192.0.2.1"), quotas); r != nil {
			t.Errorf("another network can begin none: %v", r)
		}
		one := netip.MustParseAddr("192.0.2.1")
		l.AddBytes(one, quotas, 600*5<<20)
		if r := l.AllowBytes(one, quotas); r == nil || r.String() != "192.0.2.1" {
			t.Errorf("an address has sent ten minutes' worth of 5 MiB a second and reached %v", r)
		}
		if r := l.AllowBytes(netip.MustParseAddr("192.0.2.2"), quotas); r != nil {
			t.Errorf("its neighbour reached %v", r)
		}
	})
}

// However low a rate is, a client can begin, once.
func TestALowRateAllowsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := Quotas{Total: Quota{Starts: 1}, PerNetwork: Quota{Starts: 4. / 60}} // of an address one a minute
		l, from := New(), netip.MustParseAddr("192.0.2.1")
		for minute := range 3 {
			if r := l.AllowStart(from, quotas); r != nil {
				t.Errorf("minute %d: reached %v", minute, r)
			}
			if l.AllowStart(from, quotas) == nil {
				t.Errorf("minute %d: allowed twice", minute)
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestTotalOfBytesIsReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := Quotas{Total: Quota{Bytes: 100}, PerNetwork: Quota{Bytes: 80}}
		l := New()
		l.AddBytes(netip.MustParseAddr("192.0.2.1"), quotas, 30_000)
		l.AddBytes(netip.MustParseAddr("198.51.100.1"), quotas, 30_000)
		other := netip.MustParseAddr("203.0.113.1")
		if r := l.AllowBytes(other, quotas); r == nil || !r.Total() {
			t.Errorf("two networks have sent all that all may; a third reached %v", r)
		}
		time.Sleep(time.Second)
		if r := l.AllowBytes(other, quotas); r != nil {
			t.Errorf("a second later it reached %v", r)
		}
	})
}

// A client names the limit by which it can be helped: its own first.
func TestReachedNamesTheNarrowestLimit(t *testing.T) {
	quotas := Quotas{Total: Quota{Connections: 1}, PerNetwork: Quota{Connections: 1}}
	l := New()
	from := netip.MustParseAddr("192.0.2.1")
	l.Connect(from, quotas)
	if r := l.Connect(from, quotas); r.From() != "your address 192.0.2.1" || r.Total() {
		t.Errorf("the client is told of %q", r.From())
	}
	if r := l.Connect(netip.MustParseAddr("198.51.100.1"), quotas); !r.Total() || r.String() != "total" {
		t.Errorf("another reached %v", r)
	}
	if r := (&Reached{Network(from)}); r.From() != "your network 192.0.2.0/24" {
		t.Errorf("the client is told of %q", r.From())
	}
}

func TestMemoryIsBounded(t *testing.T) {
	quotas := Quotas{Total: Quota{Starts: 1e9}, PerNetwork: Quota{Starts: 1e9}}
	l := New()
	for i := range 40_000 {
		for _, addr := range []netip.Addr{v6(i, i, i), netip.AddrFrom4([4]byte{10 + byte(i>>16), byte(i >> 8), byte(i), 1})} {
			if r := l.AllowStart(addr, quotas); r != nil {
				t.Fatal(r)
			}
			for s, networks := range l.used {
				if len(networks) > 16_384 {
					t.Fatalf("%d networks in scope %d", len(networks), s)
				}
			}
		}
	}
}

// A client with very many networks cannot make the limiter forget open connections, or what
// a busy network has used.
func TestBusyNetworksAreNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quotas := Quotas{
			Total:      Quota{Connections: 100_000, Starts: 1e9},
			PerNetwork: Quota{Connections: 2, Starts: 1},
		}
		l := New()
		holds, busy := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")
		for _, addr := range []netip.Addr{holds, holds.Next()} {
			if r := l.Connect(addr, quotas); r != nil {
				t.Fatal(r)
			}
		}
		for l.AllowStart(busy, quotas) == nil {
		}
		for i := range 40_000 {
			l.AllowStart(netip.AddrFrom4([4]byte{10 + byte(i>>16), byte(i >> 8), byte(i), 1}), quotas)
		}
		if r := l.Connect(holds, quotas); r == nil {
			t.Error("an address with a connection may open a second")
		}
		if r := l.Connect(holds.Next().Next(), quotas); r == nil {
			t.Error("a network with two connections may open a third")
		}
		if r := l.AllowStart(busy, quotas); r == nil {
			t.Error("an address may go on after it has used its burst")
		}
		l.Disconnect(holds)
		if r := l.Connect(holds, quotas); r != nil {
			t.Errorf("a network with one connection reached %v", r)
		}
	})
}

// v6 returns an address in 2001:db8::/32, by its /48, its /64 in that, and the host in that.
func v6(net, subnet, host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(net >> 8), byte(net), byte(subnet >> 8), byte(subnet), 14: byte(host >> 8), 15: byte(host)})
}

// When there is no room, idle networks go first, and else the one that used least of what it
// may use, in handshakes or in bytes. One with a connection stays.
func TestWhichNetworksAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quota := Quota{Starts: 1, Bytes: 100} // a burst is 10 handshakes or 60,000 bytes
		start := func(n float64) usage { return usage{starts: bucket{used: n, at: time.Now()}} }
		bytes := func(n float64) usage { return usage{bytes: bucket{used: n, at: time.Now()}} }
		both := start(1)
		both.bytes = bytes(3000).bytes
		for _, tt := range []struct {
			name      string
			used      []usage
			forgotten []int
		}{
			{"idle ones", []usage{start(1), {}, {}, bytes(1)}, []int{1, 2}},
			{"never one with a connection", []usage{{connections: 1}, {}, {connections: 2}}, []int{1}},
			{"the one with fewest bytes", []usage{start(1), bytes(3000), start(2)}, []int{1}}, // 0.1, 0.05, 0.2 of a burst
			{"the one with fewest handshakes", []usage{bytes(30_000), start(1), bytes(12_000)}, []int{1}},
			{"bytes and handshakes together", []usage{both, bytes(7200), start(1.3)}, []int{1}},
			{"idle by now", []usage{start(1), {starts: bucket{used: 9, at: time.Now().Add(-9 * time.Second)}}}, []int{1}},
		} {
			networks := make(map[netip.Prefix]*usage)
			for i := range tt.used {
				networks[Network(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}))] = &tt.used[i]
			}
			forget(networks, quota)
			var forgotten []int
			for i := range tt.used {
				if networks[Network(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}))] == nil {
					forgotten = append(forgotten, i)
				}
			}
			if !slices.Equal(forgotten, tt.forgotten) {
				t.Errorf("%s: %v are forgotten, want %v", tt.name, forgotten, tt.forgotten)
			}
		}
	})
}
