package tlsrptin

import (
	"context"
	"net/netip"
	"testing"
)

// Each network that waits gets a turn before any gets another.
func TestNetworksTakeTurns(t *testing.T) {
	a, b, c := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8::/32")
	turns := newTurns(2)
	came := func(turn chan struct{}) bool {
		select {
		case <-turn:
			return true
		default:
			return false
		}
	}
	for range 2 {
		if !came(turns.ask(a)) {
			t.Fatal("one of two waits, though none is at work")
		}
	}
	a1, a2, a3 := turns.ask(a), turns.ask(a), turns.ask(a)
	b1, c1 := turns.ask(b), turns.ask(c)
	var b2 chan struct{}
	for i, next := range []*chan struct{}{&a1, &b1, &c1, &a2, &b2, &a3} {
		if i == 2 {
			b2 = turns.ask(b) // which has had a turn
		}
		if came(*next) {
			t.Fatalf("turn %d has come before another has ended", i)
		}
		if turns.give(); !came(*next) {
			t.Fatalf("turn %d has not come", i)
		}
	}
	turns.give()
	turns.give()
	if !came(turns.ask(a)) || !came(turns.ask(b)) {
		t.Error("two have ended, and two more do not begin")
	}
	late := turns.ask(c)
	if came(late) {
		t.Error("three are at work")
	}
	if !turns.withdraw(c, late) || turns.withdraw(c, late) {
		t.Error("one that waits can not be withdrawn once")
	}
	turns.give()
	if came(late) || !came(turns.ask(a)) {
		t.Error("one that was withdrawn has taken the turn of another")
	}
}

// Whoever can't wait any longer does nothing, and takes no turn.
func TestWaitForATurnEnds(t *testing.T) {
	from := netip.MustParsePrefix("192.0.2.0/24")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	turns := newTurns(1)
	turns.ask(from)
	if err := turns.do(ended, from, func() { t.Error("done without a turn") }); err != errBusy || turns.free != 0 || len(turns.waiting)+len(turns.next) != 0 {
		t.Errorf("%v; %+v", err, turns)
	}
	turns.give()
	done := false
	if err := turns.do(ended, from, func() { done = true }); err != nil || !done || turns.free != 1 {
		t.Errorf("with a free turn: %v, done %v; %+v", err, done, turns)
	}
}
