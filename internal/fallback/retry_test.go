package fallback

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"postern/handshake"
)

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
