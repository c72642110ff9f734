package fallback

import (
	"fmt"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/sessionticket"
)

func TestMemoryIsBounded(t *testing.T) {
	l := New(stock)
	l.senders.max, l.fingerprints.max = 100, 20
	var forgotten int
	for i := range 2000 {
		s := from(fmt.Sprintf("10.%d.%d.1", i%200, i/200), fmt.Sprint(i))
		l.Learn(s, stock, handshake.ClosedAfterFlight, epoch)
		for _, d := range l.Learn(s, firstWrite, handshake.Worked, epoch) {
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
			l, s := New(stock), from("192.0.2.7", "a")
			l.senders.max = 100
			strict.getsIn(t, l, s, epoch)
			for i := range 1000 {
				strict.getsIn(t, l, crowd(i), epoch.Add(time.Hour))
			}
			wantMode(t, l, s, epoch.Add(2*time.Hour), firstWrite)
		})
	}
}

func TestLeastRecentlySeenIsForgottenFirst(t *testing.T) {
	l := New(stock)
	l.senders.max = 16
	for i := range 17 {
		s := from(fmt.Sprintf("%d.0.0.1", i+1), fmt.Sprint(i))
		l.Learn(s, stock, handshake.ClosedAfterFlight, epoch.Add(time.Duration(i)*time.Minute))
	}
	wantMode(t, l, from("1.0.0.1", "0"), epoch, stock)
	wantMode(t, l, from("2.0.0.1", "1"), epoch, stock)
	wantMode(t, l, from("3.0.0.1", "2"), epoch, firstWrite)
}

func TestSenderIsForgottenWhenItDoesNotCome(t *testing.T) {
	l, s := New(stock), from("192.0.2.7", "a")
	strict.getsIn(t, l, s, epoch)
	late := epoch.Add(MaxAge + time.Hour)
	wantMode(t, l, s, late, stock)
	decisions := l.Learn(s, stock, handshake.Worked, late)
	if len(decisions) != 1 || decisions[0].Kind != Forgotten || decisions[0].From != firstWrite {
		t.Errorf("decisions: %+v", decisions)
	}
}

func TestSenderStaysOnItsRungAfterRestart(t *testing.T) {
	before := New(stock)
	s := from("192.0.2.7", "a")
	strict.getsIn(t, before, s, epoch)
	after := New(stock)
	after.Restore(before.Changed())
	if lost := strict.getsIn(t, after, s, epoch); lost != nil {
		t.Errorf("it lost attempts on %v", lost)
	}
	if after.Changed() == nil {
		t.Error("what it did since is not stored")
	}
}

func TestTryIsNotRepeatedAfterRestart(t *testing.T) {
	before := New(stock)
	s := from("192.0.2.7", "a")
	strict.getsIn(t, before, s, epoch)
	before.Changed()
	due := epoch.Add(7 * time.Hour)
	wantMode(t, before, s, due, stock)
	after := New(stock)
	after.Restore(before.Changed())
	wantMode(t, after, s, due, firstWrite)
}

func TestPolicyCanChangeBetweenRestarts(t *testing.T) {
	careful := New(noTicket)
	good, bad := from("192.0.2.7", "good"), from("192.0.2.7", "bad")
	healthy.getsIn(t, careful, good, epoch)
	intolerant13.getsIn(t, careful, bad, epoch)
	states := careful.Changed()

	eager := New(stock)
	eager.Restore(states)
	wantMode(t, eager, good, epoch, stock)
	wantMode(t, eager, bad, epoch, tls12)

	strict.getsIn(t, eager, good, epoch)
	again := New(noTicket)
	again.Restore(append(states, eager.Changed()...))
	wantMode(t, again, good, epoch, noTicket)
	wantMode(t, again, bad, epoch, tls12)
}

func TestRestoreLeavesOutWhatCannotBe(t *testing.T) {
	l := New(stock)
	l.Restore([]State{
		{Network: admission.Network(from("192.0.2.7", "").Addr), Mode: sessionticket.Mode(modes), Since: epoch, Seen: epoch},
		{Network: admission.Network(from("192.0.2.7", "").Addr), Mode: tls12, Since: epoch, Seen: epoch, Retries: -1},
	})
	wantMode(t, l, from("192.0.2.7", ""), epoch, stock)
}
