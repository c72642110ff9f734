package fallback

import (
	"testing"
	"time"

	"postern/handshake"
	"postern/sessionticket"
)

// monitor says EHLO over TLS and leaves without a word. It gets no farther without a ticket.
var monitor = inOrder(handshake.ClosedAfterReply, handshake.ClosedAfterReply, handshake.ClosedAfterReply, handshake.Inconclusive, handshake.Inconclusive)

// surprised does the same because of the ticket.
var surprised = inOrder(handshake.ClosedAfterReply, handshake.ClosedAfterReply, handshake.ClosedAfterReply, handshake.Worked, handshake.Worked)

// A client that refuses the certificate in every mode, and a monitor, change no mode: not that of
// their network, host or fingerprint.
func TestClientsThatNoModeHelpsCauseNoFallback(t *testing.T) {
	for name, c := range map[string]client{"refuses the certificate": alwaysFails, "monitor": monitor} {
		for _, first := range []sessionticket.Mode{firstWrite, ownWrite, noTicket} {
			l := New(first)
			for i := range 100 {
				now := epoch.Add(time.Duration(i) * 10 * time.Minute)
				for _, addr := range []string{"192.0.2.7", "198.51.100.7", "203.0.113.7", "2001:db8::7"} {
					if _, _, decisions := c.connect(l, from(addr, "a"), now); decisions != nil {
						t.Fatalf("%s, first mode %v: %+v", name, first, decisions)
					}
				}
				for _, addr := range []string{"192.0.2.8", "198.18.0.1"} { // a neighbour, and one elsewhere
					wantMode(t, l, from(addr, "a"), now, first)
				}
			}
		}
	}
}

// Only the host that closed tries another mode, for one connection at a time, and soon.
func TestATrialIsForOneConnectionOfOneHost(t *testing.T) {
	l, s, neighbour := New(ownWrite), from("192.0.2.7", "a"), from("192.0.2.8", "a")
	intolerant13.connect(l, s, epoch)
	wantMode(t, l, s, epoch, ownWrite)
	intolerant13.connect(l, s, epoch)
	wantMode(t, l, neighbour, epoch, ownWrite)
	wantMode(t, l, s, epoch.Add(2*time.Hour+1), ownWrite) // it made its next attempt elsewhere
	if mode, _ := l.Next(s, epoch); mode != tls12 {
		t.Errorf("next mode %v, want tls12", mode)
	}
	wantMode(t, l, s, epoch, tls12)
	wantMode(t, l, s, epoch, ownWrite) // while the trial is under way
	wantMode(t, l, s, epoch.Add(15*time.Minute-1), ownWrite)
	wantMode(t, l, s, epoch.Add(15*time.Minute), tls12) // its outcome is no longer waited for
	wantMode(t, l, s, epoch.Add(2*time.Hour), tls12)
}

// A wait that ends more than the longest wait from now is one that a clock ahead has set.
func TestTrialsAreAwaitedForTwoWeeksAtMost(t *testing.T) {
	for wait, want := range map[time.Duration]sessionticket.Mode{14 * 24 * time.Hour: ownWrite, 14*24*time.Hour + 1: noTicket} {
		l, s := New(ownWrite), from("192.0.2.7", "a")
		l.Restore([]State{{
			Network: s.key().network, Fingerprint: "a", Mode: ownWrite, Seen: epoch, TrialAt: epoch.Add(wait),
			Closers: []Closer{{Addr: s.Addr, Outcome: handshake.ClosedAfterTicket, At: epoch, Penalty: 48}},
		}}, epoch)
		wantMode(t, l, s, epoch, want)
	}
}

// That TLS 1.3 worked for a network counts for as long as a state is kept, by whatever clock.
func TestHowLongTLS13IsKnownToWork(t *testing.T) {
	for since, may := range map[time.Duration]bool{0: false, 30 * 24 * time.Hour: false, 30*24*time.Hour + 1: true, -30 * 24 * time.Hour: false, -30*24*time.Hour - 1: true} {
		if s := (State{Worked13: epoch}); s.mayNeedTLS12(epoch.Add(since)) != may {
			t.Errorf("%v after TLS 1.3 worked, TLS 1.2 may be needed: %v, want %v", since, !may, may)
		}
	}
}

// TLS 1.2 has to help twice, and a completed handshake of anybody in the network shows that it
// is not needed.
func TestTLS12IsChosenOnlyIfItIsNeeded(t *testing.T) {
	l, s, neighbour := New(ownWrite), from("192.0.2.7", "a"), from("192.0.2.8", "a")
	if lost := intolerant13.deliver(t, l, s, epoch); len(lost) != 2 {
		t.Errorf("it lost %v, want two attempts", lost)
	}
	wantMode(t, l, neighbour, epoch, ownWrite)
	later := epoch.Add(time.Hour)
	if lost := intolerant13.deliver(t, l, s, later); len(lost) != 1 {
		t.Errorf("then it lost %v, want one attempt", lost)
	}
	wantMode(t, l, s, later, tls12)

	l = New(ownWrite)
	intolerant13.deliver(t, l, s, epoch)
	healthy.deliver(t, l, neighbour, epoch)
	for i := range 100 {
		if mode, _, decisions := intolerant13.connect(l, s, epoch.Add(time.Duration(i)*10*time.Minute)); mode == tls12 || decisions != nil {
			t.Fatalf("mode %v, decisions %+v, though its neighbour completed TLS 1.3", mode, decisions)
		}
	}
}

// Modes that failed for the hosts of a network, one after the other and each for a while, do not lock
// out a host that one of them helps.
func TestModesThatFailedAreTriedAgain(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	past := State{Network: s.key().network, Fingerprint: "a", Mode: ownWrite, Since: epoch, Seen: epoch}
	past.Tried[stock], past.Tried[noTicket], past.Tried[tls12] = true, true, true
	l.Restore([]State{past}, epoch)
	now := epoch
	for range 24 {
		if _, end, _ := refusesTickets.connect(l, s, now); end == handshake.Worked {
			return
		}
		now = now.Add(time.Hour)
	}
	t.Errorf("after a day it still is in mode %v", l.senders.entries[s.key()].Mode)
}

// A sender whose last mode fails too stays where it gives up least, which is no decision.
func TestNothingIsDecidedIfThereIsNoOtherMode(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	past := State{Network: s.key().network, Fingerprint: "a", Mode: stock, Seen: epoch}
	past.Tried[ownWrite], past.Tried[noTicket], past.Tried[tls12] = true, true, true
	l.Restore([]State{past}, epoch)
	if _, _, decisions := alwaysFails.connect(l, s, epoch); decisions != nil {
		t.Errorf("decisions are %+v", decisions)
	}
	wantMode(t, l, s, epoch, stock)
	alwaysFails.connect(l, s, epoch) // all are tried again
	wantMode(t, l, s, epoch, ownWrite)
}

// Sixteen completed handshakes outweigh a close, and more count for nothing.
func TestCompletedHandshakesOutweighAClose(t *testing.T) {
	l, s := New(ownWrite), from("192.0.2.7", "a")
	l.Learn(s, ownWrite, handshake.ClosedAfterFlight, epoch)
	for range 20 {
		l.Learn(s, ownWrite, handshake.Worked, epoch)
	}
	if c := l.senders.entries[s.key()].closer(s.Addr); c.Penalty != 0 {
		t.Errorf("it still has a penalty of %d", c.Penalty)
	}
	for _, end := range []handshake.Outcome{handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.Worked, handshake.ClosedAfterFlight} {
		l.Learn(s, ownWrite, end, epoch)
	}
	wantMode(t, l, s, epoch, ownWrite) // no trial: 47 of 48
	l.Learn(s, ownWrite, handshake.ClosedAfterFlight, epoch)
	wantMode(t, l, s, epoch, noTicket)
}

// A close in TLS 1.2 undoes the fallback to it.
func TestCloseInTLS12UndoesTheFallback(t *testing.T) {
	l, s := New(ownWrite), from("192.0.2.7", "a")
	intolerant13.settle(t, l, s, epoch)
	later := epoch.Add(4 * time.Hour)
	alwaysFails.connect(l, s, later)
	wantMode(t, l, s, later, ownWrite)
}

// A program that takes the ticket for an error leaves like a monitor, but goes on without one.
func TestSurprisedClientGetsNoTicketIfThatHelps(t *testing.T) {
	l, s := New(ownWrite), from("192.0.2.7", "a")
	if lost := surprised.deliver(t, l, s, epoch); len(lost) != 2 {
		t.Errorf("it lost %v, want two attempts", lost)
	}
	wantMode(t, l, s, epoch.Add(time.Hour), noTicket)
}
