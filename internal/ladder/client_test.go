package ladder

import (
	"net/netip"
	"testing"
	"time"
)

// A client is what a kind of sender does on each rung.
type client [rungs]Outcome

var (
	healthy      = client{Used, Used, Used, Used, Used}
	strict       = client{ClosedAfterFlight, Used, Used, Used, Used}
	takesNone    = client{ClosedAfterFlight, ClosedAfterTicket, ClosedAfterTicket, Used, Used}
	intolerant13 = client{ClosedAfterFlight, ClosedAfterFlight, ClosedAfterFlight, ClosedAfterFlight, Used}
	hopeless     = client{ClosedAfterFlight, ClosedAfterFlight, ClosedAfterFlight, ClosedAfterFlight, ClosedAfterFlight}
)

var epoch = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func from(addr, fingerprint string) Sender {
	return Sender{Addr: netip.MustParseAddr(addr), Fingerprint: fingerprint}
}

// comes is one attempt of s: what it was offered, and how that ended.
func (c client) comes(l *Ladder, s Sender, now time.Time) (Rung, Outcome, []Decision) {
	rung, _ := l.Choose(s, now)
	return rung, c[rung], l.Learn(s, rung, c[rung], now)
}

// getsIn lets s come until it is in and returns the rungs on which it failed.
func (c client) getsIn(t *testing.T, l *Ladder, s Sender, now time.Time) []Rung {
	t.Helper()
	var lost []Rung
	for range 20 {
		rung, end, _ := c.comes(l, s, now)
		if end == Used {
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
