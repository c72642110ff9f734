package fallback

import (
	"fmt"
	"testing"
	"time"

	"postern/handshake"
)

func TestMemoryIsBounded(t *testing.T) {
	l := New(Stock)
	l.senders.max, l.fingerprints.max = 100, 20
	var forgotten int
	for i := range 2000 {
		s := from(fmt.Sprintf("10.%d.%d.1", i%200, i/200), fmt.Sprint(i))
		l.Learn(s, Stock, handshake.ClosedAfterFlight, epoch)
		for _, d := range l.Learn(s, FirstWrite, handshake.Worked, epoch) {
			if d.Kind == Forgotten {
				forgotten++
			}
		}
		if len(l.senders.entries) > 100 || len(l.fingerprints.entries) > 20 {
			t.Fatalf("%d senders and %d fingerprints are remembered", len(l.senders.entries), len(l.fingerprints.entries))
		}
	}
	if states := l.Changed(); len(states) > 120 {
		t.Errorf("%d states to store", len(states))
	}
	if l.Changed() != nil {
		t.Error("they are told of twice")
	}
}

func TestCrowdPushesOutItsOwn(t *testing.T) {
	for name, crowd := range map[string]func(i int) Sender{
		"many fingerprints next door":       func(i int) Sender { return from("192.0.3.7", fmt.Sprint(i)) },
		"many networks of another provider": func(i int) Sender { return from(fmt.Sprintf("2001:db8:%x::1", i), "a") },
	} {
		t.Run(name, func(t *testing.T) {
			l, s := New(Stock), from("192.0.2.7", "a")
			l.senders.max = 100
			strict.getsIn(t, l, s, epoch)
			for i := range 1000 {
				strict.getsIn(t, l, crowd(i), epoch.Add(time.Hour))
			}
			wantRung(t, l, s, epoch.Add(2*time.Hour), FirstWrite)
		})
	}
}

func TestLeastRecentlySeenIsForgottenFirst(t *testing.T) {
	l := New(Stock)
	l.senders.max = 16
	for i := range 17 {
		s := from(fmt.Sprintf("%d.0.0.1", i+1), fmt.Sprint(i))
		l.Learn(s, Stock, handshake.ClosedAfterFlight, epoch.Add(time.Duration(i)*time.Minute))
	}
	wantRung(t, l, from("1.0.0.1", "0"), epoch, Stock)
	wantRung(t, l, from("2.0.0.1", "1"), epoch, Stock)
	wantRung(t, l, from("3.0.0.1", "2"), epoch, FirstWrite)
}

func TestSenderIsForgottenWhenItDoesNotCome(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	strict.getsIn(t, l, s, epoch)
	late := epoch.Add(Memory + time.Hour)
	wantRung(t, l, s, late, Stock)
	decisions := l.Learn(s, Stock, handshake.Worked, late)
	if len(decisions) != 1 || decisions[0].Kind != Forgotten || decisions[0].From != FirstWrite {
		t.Errorf("decisions: %+v", decisions)
	}
}

func TestSenderStaysOnItsRungAfterRestart(t *testing.T) {
	before := New(Stock)
	s := from("192.0.2.7", "a")
	strict.getsIn(t, before, s, epoch)
	after := New(Stock)
	after.Restore(before.Changed())
	if lost := strict.getsIn(t, after, s, epoch); lost != nil {
		t.Errorf("it lost attempts on %v", lost)
	}
	if after.Changed() == nil {
		t.Error("what it did since is not stored")
	}
}

func TestTryIsNotRepeatedAfterRestart(t *testing.T) {
	before := New(Stock)
	s := from("192.0.2.7", "a")
	strict.getsIn(t, before, s, epoch)
	before.Changed()
	due := epoch.Add(7 * time.Hour)
	wantRung(t, before, s, due, Stock)
	after := New(Stock)
	after.Restore(before.Changed())
	wantRung(t, after, s, due, FirstWrite)
}

func TestPolicyCanChangeBetweenRestarts(t *testing.T) {
	careful := New(NoTicket)
	good, bad := from("192.0.2.7", "good"), from("192.0.2.7", "bad")
	healthy.getsIn(t, careful, good, epoch)
	intolerant13.getsIn(t, careful, bad, epoch)
	states := careful.Changed()

	stock := New(Stock)
	stock.Restore(states)
	wantRung(t, stock, good, epoch, Stock)
	wantRung(t, stock, bad, epoch, TLS12)

	strict.getsIn(t, stock, good, epoch)
	again := New(NoTicket)
	again.Restore(append(states, stock.Changed()...))
	wantRung(t, again, good, epoch, NoTicket)
	wantRung(t, again, bad, epoch, TLS12)
}

func TestRestoreLeavesOutWhatCannotBe(t *testing.T) {
	l := New(Stock)
	l.Restore([]State{
		{Network: Network(from("192.0.2.7", "").Addr), Rung: rungs, Since: epoch, Seen: epoch},
		{Network: Network(from("192.0.2.7", "").Addr), Rung: TLS12, Since: epoch, Seen: epoch, Retries: -1},
	})
	wantRung(t, l, from("192.0.2.7", ""), epoch, Stock)
}
