package fallback

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/handshake"
	"postern/sessionticket"
)

func pin(network string, mode sessionticket.Mode) Pin {
	return Pin{Network: netip.MustParsePrefix(network), Mode: mode, Why: "asked for", Since: epoch}
}

func TestLongestPinApplies(t *testing.T) {
	l := New(ownWrite)
	refusesTickets.deliver(t, l, from("192.0.2.7", "a"), epoch)
	l.SetPins([]Pin{pin("192.0.0.0/16", tls12), pin("192.0.2.7/32", stock), pin("192.0.2.0/24", firstWrite), pin("::/0", noTicket)}, epoch)
	for addr, want := range map[string]sessionticket.Mode{
		"192.0.2.7": stock, "::ffff:192.0.2.7": stock, "192.0.2.8": firstWrite, "192.0.3.1": tls12,
		"2001:db8::1": noTicket, "198.51.100.1": ownWrite,
	} {
		wantMode(t, l, from(addr, "a"), epoch, want)
	}
	wantMode(t, l, Sender{Fingerprint: "a"}, epoch, ownWrite)
	var bits []int
	for _, pin := range l.Pins() {
		bits = append(bits, pin.Network.Bits())
	}
	if want := []int{32, 24, 16, 0}; !slices.Equal(bits, want) {
		t.Errorf("the pins are for networks of %v bits, want %v", bits, want)
	}
	if _, why := l.Choose(from("192.0.2.8", "a"), epoch); why != "192.0.2.0/24 pinned since 2026-11-24 09:00:00 UTC: asked for" {
		t.Errorf("the reason is %q", why)
	}
	for range 100 {
		for _, mode := range []sessionticket.Mode{stock, noTicket} { // of the pin, and its own
			if decisions := l.Learn(from("192.0.2.7", "a"), mode, handshake.ClosedAfterFlight, epoch); decisions != nil {
				t.Fatalf("learned under a pin: %+v", decisions)
			}
		}
	}
	l.SetPins(nil, epoch)
	wantMode(t, l, from("192.0.2.7", "a"), epoch, noTicket) // from its state
}

// The addresses of clients are never IPv4 written as IPv6, so a pin for such a network would apply to
// none.
func TestNetworksThatOperatorsWrite(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "::ffff:192.0.2.7": "192.0.2.7/32", "2001:db8::1": "2001:db8::1/128", "fe80::1%eth0": "fe80::1/128",
		"192.0.2.7/24": "192.0.2.0/24", "2001:db8::1/32": "2001:db8::/32",
		"::ffff:192.0.2.7/120": "192.0.2.0/24", "::ffff:0.0.0.0/96": "0.0.0.0/0", "::ffff:0.0.0.0/95": "::fffe:0:0/95", "::/0": "::/0",
		"192.0.2.0/33": "", "192.0.2": "", "mx.example": "", "": "",
	} {
		network, err := ParseNetwork(text)
		if got := network.String(); err == nil && got != want || (err != nil) != (want == "") {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
}

func TestSetPinsReturnsChanges(t *testing.T) {
	l := New(ownWrite)
	l.SetPins([]Pin{pin("192.0.2.0/24", tls12), pin("198.51.100.0/24", tls12), pin("203.0.113.0/24", tls12)}, epoch)
	changes := l.SetPins([]Pin{pin("192.0.2.9/24", noTicket), pin("203.0.113.0/24", tls12), pin("10.0.0.0/8", stock)}, epoch)
	want := []Decision{
		{Kind: Pinned, Network: netip.MustParsePrefix("10.0.0.0/8"), From: ownWrite, To: stock, Why: "asked for"},
		{Kind: Pinned, Network: netip.MustParsePrefix("192.0.2.0/24"), From: tls12, To: noTicket, Why: "asked for"},
		{Kind: Unpinned, Network: netip.MustParsePrefix("198.51.100.0/24"), From: tls12, To: ownWrite, Why: "pin removed: asked for"},
	}
	if len(changes) != len(want) {
		t.Fatalf("decisions: %+v", changes)
	}
	for i := range want {
		want[i].At = epoch
		if changes[i] != want[i] {
			t.Errorf("decision %d: %+v, want %+v", i, changes[i], want[i])
		}
	}
	var many []Pin
	for i := range 20 {
		many = append(many, pin(fmt.Sprintf("10.0.%d.0/24", i), tls12))
	}
	changes = l.SetPins(many, epoch)
	if !slices.IsSortedFunc(changes, func(a, b Decision) int { return a.Network.Compare(b.Network) }) {
		t.Errorf("decisions are not ordered: %+v", changes)
	}
}

// The time decides, then the host, then what was done.
func TestOneOfTwoPinChangesIsLater(t *testing.T) {
	change := func(after time.Duration, host string, removed bool, mode sessionticket.Mode, why string, since time.Duration) PinChange {
		return PinChange{Pin{Mode: mode, Why: why, Since: epoch.Add(since)}, removed, epoch.Add(after), host}
	}
	inOrder := []PinChange{
		change(0, "mx9", true, tls12, "b", time.Millisecond),
		change(time.Millisecond, "mx0", false, ownWrite, "a", 0),
		change(time.Millisecond, "mx0", false, ownWrite, "a", time.Millisecond),
		change(time.Millisecond, "mx0", false, ownWrite, "b", 0),
		change(time.Millisecond, "mx0", false, tls12, "a", 0),
		change(time.Millisecond, "mx0", true, ownWrite, "a", 0),
		change(time.Millisecond, "mx1", false, ownWrite, "a", 0),
		change(2*time.Millisecond, "mx0", false, ownWrite, "a", 0),
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			b.Changed = b.Changed.Add(time.Microsecond) // which is lost in storage
			if a.After(b) != (i > j) {
				t.Errorf("%+v is after %+v: %v", a, b, i <= j)
			}
		}
	}
}

// Of changes of one network's pin the same one is the latest, whatever their order, also if two
// processes with one name made them at the same time.
func TestPinChangesHaveOneOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		changes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) PinChange {
			return PinChange{
				Pin: Pin{
					Mode: anyMode.Draw(t, "mode"), Why: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "why"),
					Since: epoch.Add(time.Duration(rapid.IntRange(0, 1).Draw(t, "since")) * time.Second),
				},
				Removed: rapid.Bool().Draw(t, "removed"), Host: rapid.SampledFrom([]string{"", "mx0", "mx1"}).Draw(t, "host"),
				Changed: epoch.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "changed")) * time.Millisecond),
			}
		}), 1, 8).Draw(t, "changes")
		latest := func(changes []PinChange) (latest PinChange) {
			for _, c := range changes {
				if c.After(latest) {
					latest = c
				}
			}
			return latest
		}
		if a, b := latest(changes), latest(rapid.Permutation(changes).Draw(t, "in another order")); a != b {
			t.Errorf("the latest is %+v, and in another order %+v", a, b)
		}
	})
}
