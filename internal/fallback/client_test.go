package fallback

import (
	"net/netip"
	"testing"
	"time"

	"postern/handshake"
)

// A client is what a kind of sender does on each rung.
type client [rungs]handshake.Outcome

var (
	healthy      = client{handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked}
	strict       = client{handshake.ClosedAfterFlight, handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked}
	takesNone    = client{handshake.ClosedAfterFlight, handshake.ClosedAfterTicket, handshake.ClosedAfterTicket, handshake.Worked, handshake.Worked}
	intolerant13 = client{handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.Worked}
	hopeless     = client{handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight}
)

var epoch = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func from(addr, fingerprint string) Sender {
	return Sender{Addr: netip.MustParseAddr(addr), Fingerprint: fingerprint}
}

// comes is one attempt of s: what it was offered, and how that ended.
func (c client) comes(l *Ladder, s Sender, now time.Time) (Rung, handshake.Outcome, []Decision) {
	rung, _ := l.Choose(s, now)
	return rung, c[rung], l.Learn(s, rung, c[rung], now)
}

// getsIn lets s come until it is in and returns the rungs on which it failed.
func (c client) getsIn(t *testing.T, l *Ladder, s Sender, now time.Time) []Rung {
	t.Helper()
	var lost []Rung
	for range 20 {
		rung, end, _ := c.comes(l, s, now)
		if end == handshake.Worked {
			return lost
		}
		lost = append(lost, rung)
		now = now.Add(15 * time.Minute)
	}
	t.Fatalf("%v did not get in: it was offered %v", s.Addr, lost)
	return nil
}

func wantRung(t *testing.T, l *Ladder, s Sender, now time.Time, want Rung) {
	t.Helper()
	if rung, why := l.Choose(s, now); rung != want {
		t.Errorf("%v is offered %v (%s), want %v", s.Addr, rung, why, want)
	}
}
