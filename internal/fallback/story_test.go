package fallback

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/handshake"
)

func TestSenderIsOfferedWhatCuresItsClose(t *testing.T) {
	broken := client{handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.Inconclusive}
	for _, test := range []struct {
		name   string
		client client
		first  Rung
		lost   []Rung
		ends   Rung
	}{
		{"a healthy one loses nothing", healthy, Stock, nil, Stock},
		{"a strict one loses one to an early ticket", strict, Stock, []Rung{Stock}, FirstWrite},
		{"a strict one loses nothing to a late ticket", strict, FirstWrite, nil, FirstWrite},
		{"one that takes no ticket is not tried with another", takesNone, FirstWrite, []Rung{FirstWrite}, NoTicket},
		{"nor when the first was early", takesNone, Stock, []Rung{Stock, FirstWrite}, NoTicket},
		{"the same flight is not tried twice", intolerant13, FirstWrite, []Rung{FirstWrite}, TLS12},
		{"a ticket in the flight is ruled out first", intolerant13, Stock, []Rung{Stock, FirstWrite}, TLS12},
		{"a policy of no tickets is gone down from", intolerant13, NoTicket, []Rung{NoTicket}, TLS12},
		{
			"where the cure does not help the others are tried",
			client{handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.Worked, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight},
			FirstWrite, []Rung{FirstWrite, TLS12}, OwnWrite,
		},
		{
			"one that answers TLS 1.2 with an alert is not kept there",
			client{3: handshake.Worked, 1: handshake.ClosedAfterFlight, 2: handshake.ClosedAfterFlight},
			FirstWrite, []Rung{FirstWrite, TLS12, TLS12, OwnWrite}, NoTicket,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			l, s := New(test.first), from("192.0.2.7", "a")
			if lost := test.client.getsIn(t, l, s, epoch); !slices.Equal(lost, test.lost) {
				t.Errorf("it lost attempts on %v, want %v", lost, test.lost)
			}
			wantRung(t, l, s, epoch.Add(2*time.Hour), test.ends)
		})
	}
	t.Run("one that nothing helps gives up nothing", func(t *testing.T) {
		l, s := New(FirstWrite), from("192.0.2.7", "a")
		for range 4 {
			hopeless.comes(l, s, epoch)
		}
		wantRung(t, l, s, epoch, FirstWrite)
	})
	t.Run("an alert below does not make it loop", func(t *testing.T) {
		l, s := New(FirstWrite), from("192.0.2.7", "a")
		var offered []Rung
		for range 6 {
			rung, _, _ := broken.comes(l, s, epoch)
			offered = append(offered, rung)
		}
		want := []Rung{FirstWrite, TLS12, TLS12, OwnWrite, NoTicket, FirstWrite}
		if !slices.Equal(offered, want) {
			t.Errorf("it was offered %v, want %v", offered, want)
		}
	})
}

// A sender that fails only when it resumes got in before, and needs a full handshake, not
// an old TLS.
func TestSenderThatFailsWhenItResumesIsGivenNoTicket(t *testing.T) {
	l, s := New(FirstWrite), from("192.0.2.7", "a")
	for range 4 {
		l.Learn(s, FirstWrite, handshake.Worked, epoch)
		l.Learn(s, FirstWrite, handshake.ClosedAfterFlight, epoch)
	}
	wantRung(t, l, s, epoch, NoTicket)
}

func TestSenderThatGotInLeavesAtTheThirdFailure(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	for range 1000 {
		l.Learn(s, Stock, handshake.Worked, epoch)
	}
	for range 2 {
		l.Learn(s, Stock, handshake.ClosedAfterFlight, epoch)
		wantRung(t, l, s, epoch, Stock)
	}
	decisions := l.Learn(s, Stock, handshake.ClosedAfterFlight, epoch)
	wantRung(t, l, s, epoch, FirstWrite)
	if len(decisions) != 1 || !strings.Contains(decisions[0].Why, "1000 times") {
		t.Errorf("decisions: %+v", decisions)
	}
}

func TestSenderWhoseTroubleChangesIsOfferedEveryRungAnew(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	strict.getsIn(t, l, s, epoch)
	onlyStock := client{handshake.Worked, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight, handshake.ClosedAfterFlight}
	lost := onlyStock.getsIn(t, l, s, epoch.Add(time.Hour))
	if want := []Rung{FirstWrite, FirstWrite, FirstWrite, NoTicket, TLS12}; !slices.Equal(lost, want) {
		t.Errorf("it lost attempts on %v, want %v", lost, want)
	}
	wantRung(t, l, s, epoch.Add(3*time.Hour), Stock)
}

func TestRareAccidentsMoveNobody(t *testing.T) {
	l, s := New(FirstWrite), from("192.0.2.7", "a")
	for i := range 10_000 {
		end := handshake.Worked
		if i%25 == 24 {
			end = handshake.ClosedAfterFlight
		}
		if decisions := l.Learn(s, FirstWrite, end, epoch); decisions != nil {
			t.Fatalf("handshake %d: %+v", i, decisions)
		}
	}
}

func TestTwoKindsInOneNetworkDoNotSpeakForEachOther(t *testing.T) {
	l := New(Stock)
	good, bad := from("192.0.2.7", "good"), from("192.0.2.8", "bad")
	for range 100 {
		healthy.getsIn(t, l, good, epoch)
	}
	if lost := strict.getsIn(t, l, bad, epoch); len(lost) != 1 {
		t.Errorf("the strict one lost attempts on %v, want one", lost)
	}
	wantRung(t, l, good, epoch, Stock)
	wantRung(t, l, from("192.0.2.9", "bad"), epoch, FirstWrite)
}

// Two that cannot be told apart share a rung that both survive, and the healthy one's tries of the
// better rung come less and less often.
func TestTwoKindsWithOneFingerprintSettle(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	lost := 0
	for hour := range 30 * 24 {
		now := epoch.Add(time.Duration(hour) * time.Hour)
		healthy.comes(l, s, now)
		healthy.comes(l, s, now.Add(time.Minute))
		for _, end, _ := strict.comes(l, s, now.Add(30*time.Minute)); end != handshake.Worked; _, end, _ = strict.comes(l, s, now.Add(45*time.Minute)) {
			lost++
		}
	}
	if lost > 3+7 { // until it is believed, and with each try
		t.Errorf("the strict one lost %d attempts in a month", lost)
	}
}

func TestConnectionsOfBeforeAMoveMoveNobody(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	for range 10 {
		l.Learn(s, Stock, handshake.ClosedAfterFlight, epoch) // they began together
	}
	wantRung(t, l, s, epoch, FirstWrite)
	l.Learn(s, Stock, handshake.Worked, epoch)
	wantRung(t, l, s, epoch, FirstWrite)
}

func TestInconclusiveEndsMoveNobody(t *testing.T) {
	for name, past := range map[string]func(l *Ladder, s Sender){
		"unknown":      func(*Ladder, Sender) {},
		"got in lower": func(l *Ladder, s Sender) { takesNone.getsIn(t, l, s, epoch) },
		"never got in": func(l *Ladder, s Sender) { l.Learn(s, OwnWrite, handshake.ClosedAfterFlight, epoch) },
	} {
		l, s := New(FirstWrite), from("192.0.2.7", "a")
		past(l, s)
		before, _ := l.Choose(s, epoch)
		for range 100 {
			if decisions := l.Learn(s, before, handshake.Inconclusive, epoch); decisions != nil {
				t.Fatalf("%s: decisions: %+v", name, decisions)
			}
		}
		wantRung(t, l, s, epoch, before)
	}
	l := New(FirstWrite)
	l.Learn(from("192.0.2.7", "a"), FirstWrite, handshake.Inconclusive, epoch)
	if states := l.Changed(); states != nil {
		t.Errorf("what tells nothing is remembered: %+v", states)
	}
}

func TestCloseAfterTicketThatWasNotSentTellsNothing(t *testing.T) {
	for _, rung := range []Rung{NoTicket, TLS12} {
		l, s := New(rung), from("192.0.2.7", "a")
		if decisions := l.Learn(s, rung, handshake.ClosedAfterTicket, epoch); decisions != nil || l.Changed() != nil {
			t.Errorf("on %v it is believed: %+v", rung, decisions)
		}
	}
}

func TestDecisionsSayWhy(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	var told []Decision
	note := func(rung Rung, end handshake.Outcome, now time.Time) {
		told = append(told, l.Learn(s, rung, end, now)...)
	}
	note(Stock, handshake.ClosedAfterFlight, epoch)
	note(FirstWrite, handshake.Worked, epoch)
	rung, _ := l.Choose(s, epoch.Add(7*time.Hour))
	note(rung, handshake.ClosedAfterFlight, epoch.Add(7*time.Hour))
	note(FirstWrite, handshake.Worked, epoch.Add(8*time.Hour))
	rung, _ = l.Choose(s, epoch.Add(24*time.Hour))
	note(rung, handshake.Worked, epoch.Add(24*time.Hour))

	want := []struct {
		kind     Kind
		from, to Rung
		why      string
	}{
		{MovedDown, Stock, FirstWrite, "closed silently after our flight on stock, and nobody of 192.0.2.0/24 with this fingerprint ever got in there"},
		{Retried, Stock, FirstWrite, "tried again and closed silently after our flight; first-write is known to work"},
		{MovedUp, FirstWrite, Stock, "tried stock again and got in"},
	}
	if len(told) != len(want) {
		t.Fatalf("decisions: %+v", told)
	}
	for i, w := range want {
		d := told[i]
		if d.Kind != w.kind || d.From != w.from || d.To != w.to || d.Why != w.why || d.Network != Network(s.Addr) || d.Fingerprint != "a" {
			t.Errorf("decision %d: %+v, want %+v", i, d, w)
		}
	}
}

func TestOneConnectionTriesTheBetterRung(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	strict.getsIn(t, l, s, epoch)
	due := epoch.Add(7 * time.Hour)
	wantRung(t, l, s, due, Stock)
	for range 10 {
		wantRung(t, l, s, due, FirstWrite) // while the try is under way
	}
	l.Learn(s, Stock, handshake.ClosedAfterFlight, due)
	wantRung(t, l, s, due.Add(time.Minute), FirstWrite)
}

func TestOneOfManyAtOnceTriesTheBetterRung(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	strict.getsIn(t, l, s, epoch)
	due := epoch.Add(7 * time.Hour)
	var tries atomic.Int32
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if rung, _, _ := strict.comes(l, s, due); rung == Stock {
				tries.Add(1)
			}
		})
	}
	all.Wait()
	if n := tries.Load(); n != 1 {
		t.Errorf("%d connections tried, want one", n)
	}
}

func TestTriesComeLessAndLessOften(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	strict.getsIn(t, l, s, epoch)
	var waits []time.Duration
	last := epoch.Add(15 * time.Minute)
	for now := epoch; now.Before(epoch.Add(70 * 24 * time.Hour)); now = now.Add(15 * time.Minute) {
		if _, end, _ := strict.comes(l, s, now); end != handshake.Worked {
			waits = append(waits, now.Sub(last).Round(time.Hour))
			last = now
		}
	}
	const h = time.Hour
	want := []time.Duration{6 * h, 12 * h, 24 * h, 48 * h, 96 * h, 192 * h, 336 * h, 336 * h, 336 * h}
	if !slices.Equal(waits, want) {
		t.Errorf("tries after %v, want %v", waits, want)
	}
}

// A sender that comes less often than the tries are due would meet nothing else.
func TestNoSenderLosesTwoAttemptsToTries(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	lostInARow := 0
	for day := range 29 {
		_, end, _ := strict.comes(l, s, epoch.Add(time.Duration(day)*26*time.Hour))
		if end == handshake.Worked {
			lostInARow = 0
		} else if lostInARow++; lostInARow > 1 {
			t.Fatalf("day %d: lost twice in a row", day)
		}
	}
}

func TestCuredSenderClimbsBack(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	intolerant13.getsIn(t, l, s, epoch)
	var offered []Rung
	for now := epoch.Add(time.Hour); now.Before(epoch.Add(30 * time.Hour)); now = now.Add(time.Hour) {
		rung, _, _ := healthy.comes(l, s, now)
		offered = append(offered, rung)
	}
	if want := []Rung{TLS12, NoTicket, OwnWrite, FirstWrite, Stock}; !slices.Equal(slices.Compact(offered), want) {
		t.Errorf("it was offered %v, want %v", slices.Compact(offered), want)
	}
}

// On one success alone a better rung is not trusted as one that has worked for long.
func TestOneFailureUndoesAClimb(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	strict.getsIn(t, l, s, epoch)
	now := epoch.Add(7 * time.Hour)
	if rung, _, _ := healthy.comes(l, s, now); rung != Stock {
		t.Fatalf("it was offered %v", rung)
	}
	strict.comes(l, s, now)
	wantRung(t, l, s, now, FirstWrite)
}

func TestTryThatTellsNothingIsNotRepeatedAtOnce(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	strict.getsIn(t, l, s, epoch)
	due := epoch.Add(7 * time.Hour)
	wantRung(t, l, s, due, Stock) // and its end is never told
	strict.comes(l, s, due.Add(time.Minute))
	wantRung(t, l, s, due.Add(11*time.Hour), FirstWrite)
	wantRung(t, l, s, due.Add(13*time.Hour), Stock)
}

func TestClockSetBackDelaysNothingForLong(t *testing.T) {
	l, s := New(Stock), from("192.0.2.7", "a")
	strict.getsIn(t, l, s, epoch.AddDate(30, 0, 0))
	lost := 0
	for now := epoch; now.Before(epoch.AddDate(0, 1, 0)); now = now.Add(time.Hour) {
		if _, end, _ := strict.comes(l, s, now); end != handshake.Worked {
			lost++
		}
	}
	if lost == 0 || lost > 7 {
		t.Errorf("stock was tried %d times in a month", lost)
	}
}
