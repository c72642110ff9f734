package fallback

import (
	"testing"
	"time"
)

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
