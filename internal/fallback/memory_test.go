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
