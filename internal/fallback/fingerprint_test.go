package fallback

import (
	"fmt"
	"testing"
	"time"

	"postern/handshake"
)

func TestFingerprintFallsBackAfterFailuresInUnrelatedAreas(t *testing.T) {
	l := New(stock)
	for i, addr := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
		wantMode(t, l, from("203.0.113.1", "a"), epoch, stock)
		if lost := earlyTicket.deliver(t, l, from(addr, "a"), epoch); len(lost) != 1 {
			t.Errorf("sender %d lost %v, want one", i, lost)
		}
	}
	if lost := earlyTicket.deliver(t, l, from("203.0.113.1", "a"), epoch); lost != nil {
		t.Errorf("the fourth lost attempts on %v, want none", lost)
	}
	wantMode(t, l, from("203.0.113.1", "a"), epoch.Add(time.Hour), ownWrite)
	wantMode(t, l, from("203.0.113.1", "b"), epoch, stock)

	// And it stays there, since senders complete handshakes.
	refusesTickets.deliver(t, l, from("198.18.0.1", "a"), epoch)
	wantMode(t, l, from("100.64.0.1", "a"), epoch, ownWrite)
}

func TestFingerprintFallsBackNoFurtherThanNeeded(t *testing.T) {
	l := New(stock)
	intolerant13.settle(t, l, from("192.0.2.1", "a"), epoch)
	earlyTicket.deliver(t, l, from("198.51.100.1", "a"), epoch)
	refusesTickets.deliver(t, l, from("2001:db8::1", "a"), epoch)
	wantMode(t, l, from("203.0.113.1", "a"), epoch, ownWrite)
}

func TestFingerprintIsNotChangedBy(t *testing.T) {
	victim := from("203.0.113.1", "a")
	for _, test := range []struct {
		name   string
		others func(t *testing.T, l *Selector)
	}{
		{"many addresses of one provider", func(t *testing.T, l *Selector) {
			for i := range 256 {
				earlyTicket.deliver(t, l, from(fmt.Sprintf("192.0.%d.1", i), "a"), epoch)
				earlyTicket.deliver(t, l, from(fmt.Sprintf("2001:db8:%x::1", i), "a"), epoch)
			}
		}},
		{"scanners that never complete a handshake", func(t *testing.T, l *Selector) {
			for i := range 200 {
				for range 7 {
					alwaysFails.connect(l, from(fmt.Sprintf("%d.0.0.1", i), "a"), epoch)
				}
			}
		}},
		{"a crowd, if a real sender completes a handshake", func(t *testing.T, l *Selector) {
			healthy.deliver(t, l, from("192.0.2.1", "a"), epoch)
			for i := range 200 {
				intolerant13.settle(t, l, from(fmt.Sprintf("%d.0.0.1", i), "a"), epoch)
			}
		}},
		{"senders whose address is unknown", func(t *testing.T, l *Selector) {
			earlyTicket.deliver(t, l, from("192.0.2.1", "a"), epoch)
			earlyTicket.deliver(t, l, from("198.51.100.1", "a"), epoch)
			earlyTicket.deliver(t, l, Sender{Fingerprint: "a"}, epoch)
		}},
		{"senders that failed before the initial mode changed", func(t *testing.T, l *Selector) {
			for _, addr := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
				s := from(addr, "a")
				past := State{Network: s.key().network, Fingerprint: "a", Mode: noTicket, Since: epoch, Seen: epoch}
				past.Failed[ownWrite] = 1
				l.Restore([]State{past}, epoch)
				l.Learn(s, noTicket, handshake.Worked, epoch)
			}
		}},
		{"senders that did not fail in its mode", func(t *testing.T, l *Selector) {
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

// Clients without a fingerprint have nothing in common.
func TestSendersWithoutFingerprintAreNotPooled(t *testing.T) {
	l := New(stock)
	for _, addr := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
		earlyTicket.deliver(t, l, from(addr, ""), epoch)
		wantMode(t, l, from(addr, ""), epoch, ownWrite)
	}
	wantMode(t, l, from("203.0.113.1", ""), epoch, stock)
}

// Three forgers change a fingerprint for a short time only: new senders recover, and their
// fingerprint with them.
func TestFingerprintRecoversWithItsSenders(t *testing.T) {
	l := New(ownWrite)
	for _, addr := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
		intolerant13.settle(t, l, from(addr, "new"), epoch)
	}
	honest := from("203.0.113.1", "new")
	for now := epoch; now.Before(epoch.AddDate(0, 0, 2)); now = now.Add(time.Hour) {
		if mode, end, _ := healthy.connect(l, honest, now); end != handshake.Worked {
			t.Fatalf("the honest one failed in %v", mode)
		}
	}
	wantMode(t, l, from("198.18.0.1", "new"), epoch.AddDate(0, 0, 2), ownWrite)
}

// Their initial mode may be wrong for one of them, even if it only sends an alert.
func TestNewSenderIsNotLockedOutByItsFingerprint(t *testing.T) {
	l := New(ownWrite)
	for _, addr := range []string{"192.0.2.1", "198.51.100.1", "2001:db8::1"} {
		intolerant13.settle(t, l, from(addr, "a"), epoch)
	}
	only13 := inOrder(handshake.Worked, handshake.Worked, handshake.Worked, handshake.Worked, handshake.Inconclusive)
	if lost := only13.deliver(t, l, from("203.0.113.1", "a"), epoch.Add(4*time.Hour)); len(lost) != 2 {
		t.Errorf("it lost attempts on %v, want two", lost)
	}
}
