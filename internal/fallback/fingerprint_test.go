package fallback

import (
	"fmt"
	"testing"
	"time"

	"postern/handshake"
)

func TestFingerprintMovesOnUnrelatedWitnesses(t *testing.T) {
	l := New(stock)
	for i, addr := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
		wantMode(t, l, from("203.0.113.1", "a"), epoch, stock)
		if lost := strict.getsIn(t, l, from(addr, "a"), epoch); len(lost) != 1 {
			t.Errorf("sender %d lost %v, want one", i, lost)
		}
	}
	if lost := strict.getsIn(t, l, from("203.0.113.1", "a"), epoch); lost != nil {
		t.Errorf("the fourth lost attempts on %v, want none", lost)
	}
	wantMode(t, l, from("203.0.113.1", "a"), epoch.Add(time.Hour), firstWrite)
	wantMode(t, l, from("203.0.113.1", "b"), epoch, stock)

	// And there it stays, since senders get in.
	takesNone.getsIn(t, l, from("198.18.0.1", "a"), epoch)
	wantMode(t, l, from("100.64.0.1", "a"), epoch, firstWrite)
}

func TestFingerprintMovesNoFurtherThanHelps(t *testing.T) {
	l := New(stock)
	intolerant13.getsIn(t, l, from("192.0.2.1", "a"), epoch)
	strict.getsIn(t, l, from("198.51.100.1", "a"), epoch)
	takesNone.getsIn(t, l, from("2001:db8::1", "a"), epoch)
	wantMode(t, l, from("203.0.113.1", "a"), epoch, firstWrite)
}

func TestFingerprintIsNotMovedBy(t *testing.T) {
	victim := from("203.0.113.1", "a")
	for _, test := range []struct {
		name   string
		others func(t *testing.T, l *Selector)
	}{
		{"many addresses of one provider", func(t *testing.T, l *Selector) {
			for i := range 256 {
				strict.getsIn(t, l, from(fmt.Sprintf("192.0.%d.1", i), "a"), epoch)
				strict.getsIn(t, l, from(fmt.Sprintf("2001:db8:%x::1", i), "a"), epoch)
			}
		}},
		{"scanners that never get in", func(t *testing.T, l *Selector) {
			for i := range 200 {
				for range 7 {
					hopeless.comes(l, from(fmt.Sprintf("%d.0.0.1", i), "a"), epoch)
				}
			}
		}},
		{"a crowd, where a true sender gets in", func(t *testing.T, l *Selector) {
			healthy.getsIn(t, l, from("192.0.2.1", "a"), epoch)
			for i := range 200 {
				intolerant13.getsIn(t, l, from(fmt.Sprintf("%d.0.0.1", i), "a"), epoch)
			}
		}},
		{"senders whose address is unknown", func(t *testing.T, l *Selector) {
			strict.getsIn(t, l, from("192.0.2.1", "a"), epoch)
			strict.getsIn(t, l, from("198.51.100.1", "a"), epoch)
			strict.getsIn(t, l, Sender{Fingerprint: "a"}, epoch)
		}},
		{"senders that did not fail where it is", func(t *testing.T, l *Selector) {
			for i := range 200 {
				l.Learn(from(fmt.Sprintf("%d.0.0.1", i), "a"), noTicket, handshake.Worked, epoch)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := New(stock)
			test.others(t, l)
			wantMode(t, l, victim, epoch, stock)
		})
	}
}

// Three forgers can hide nothing for long: senders that begin lower find the way up, and
// take their fingerprint along.
func TestFingerprintMovesUpWithItsSenders(t *testing.T) {
	l := New(firstWrite)
	for _, addr := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
		intolerant13.getsIn(t, l, from(addr, "new"), epoch)
	}
	honest := from("203.0.113.1", "new")
	for now := epoch; now.Before(epoch.AddDate(0, 0, 2)); now = now.Add(time.Hour) {
		if mode, end, _ := healthy.comes(l, honest, now); end != handshake.Worked {
			t.Fatalf("the honest one failed on %v", mode)
		}
	}
	wantMode(t, l, from("198.18.0.1", "new"), epoch.AddDate(0, 0, 2), firstWrite)
}

// Where they begin may be wrong for one of them, even if it answers with an alert only.
func TestNewcomerIsNotKeptOutByItsFingerprint(t *testing.T) {
	l := New(firstWrite)
	for _, addr := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
		intolerant13.getsIn(t, l, from(addr, "a"), epoch)
	}
	only13 := inOrder(handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked, handshake.Inconclusive)
	if lost := only13.getsIn(t, l, from("203.0.113.1", "a"), epoch); len(lost) != 2 {
		t.Errorf("it lost attempts on %v, want two", lost)
	}
}
