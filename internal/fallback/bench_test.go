package fallback

import (
	"fmt"
	"net/netip"
	"testing"

	"postern/handshake"
)

func BenchmarkHandshakeOfKnownSender(b *testing.B) {
	l, s := New(ownWrite), from("192.0.2.7", "t13d1516h2_8daaf6152771_02713d6af862")
	for b.Loop() {
		mode, _ := l.Choose(s, epoch)
		l.Learn(s, mode, handshake.Worked, epoch)
	}
}

// Every sender is new and has to fall back, and the number of states is at its limit.
func BenchmarkFlood(b *testing.B) {
	l := New(stock)
	n := uint32(0)
	for b.Loop() {
		n += 257
		addr := netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		s := Sender{addr, fmt.Sprintf("t13d1516h2_8daaf6152771_%012x", n)}
		l.Learn(s, stock, handshake.ClosedAfterFlight, epoch)
		l.Learn(s, ownWrite, handshake.Worked, epoch)
	}
}
