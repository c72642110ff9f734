package fallback

import (
	"net/netip"
	"testing"

	"postern/handshake"
)

func pin(network string, rung Rung) Pin {
	return Pin{Network: netip.MustParsePrefix(network), Rung: rung, Why: "asked for", Since: epoch}
}

func TestLongestPinHoldsOverEverything(t *testing.T) {
	l := New(FirstWrite)
	takesNone.getsIn(t, l, from("192.0.2.7", "a"), epoch)
	l.SetPins([]Pin{pin("192.0.0.0/16", TLS12), pin("192.0.2.7/32", Stock), pin("192.0.2.0/24", OwnWrite), pin("::/0", NoTicket)}, epoch)
	for addr, want := range map[string]Rung{
		"192.0.2.7": Stock, "::ffff:192.0.2.7": Stock, "192.0.2.8": OwnWrite, "192.0.3.1": TLS12,
		"2001:db8::1": NoTicket, "198.51.100.1": FirstWrite,
	} {
		wantRung(t, l, from(addr, "a"), epoch, want)
	}
	wantRung(t, l, Sender{Fingerprint: "a"}, epoch, FirstWrite)
	for range 100 {
		for _, rung := range []Rung{Stock, NoTicket} { // the pin's and its own
			if decisions := l.Learn(from("192.0.2.7", "a"), rung, handshake.ClosedAfterFlight, epoch); decisions != nil {
				t.Fatalf("learned under a pin: %+v", decisions)
			}
		}
	}
	l.SetPins(nil, epoch)
	wantRung(t, l, from("192.0.2.7", "a"), epoch, NoTicket) // what it had learned
}

func TestSetPinsTellsWhatChanged(t *testing.T) {
	l := New(FirstWrite)
	l.SetPins([]Pin{pin("192.0.2.0/24", TLS12), pin("198.51.100.0/24", TLS12), pin("203.0.113.0/24", TLS12)}, epoch)
	told := l.SetPins([]Pin{pin("192.0.2.9/24", NoTicket), pin("203.0.113.0/24", TLS12), pin("10.0.0.0/8", Stock)}, epoch)
	want := []Decision{
		{Kind: Pinned, Network: netip.MustParsePrefix("10.0.0.0/8"), From: FirstWrite, To: Stock, Why: "asked for"},
		{Kind: Pinned, Network: netip.MustParsePrefix("192.0.2.0/24"), From: TLS12, To: NoTicket, Why: "asked for"},
		{Kind: Unpinned, Network: netip.MustParsePrefix("198.51.100.0/24"), From: TLS12, To: FirstWrite, Why: "the pin was removed: asked for"},
	}
	if len(told) != len(want) {
		t.Fatalf("decisions: %+v", told)
	}
	for i := range want {
		want[i].At = epoch
		if told[i] != want[i] {
			t.Errorf("decision %d: %+v, want %+v", i, told[i], want[i])
		}
	}
}
