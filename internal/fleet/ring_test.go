package fleet

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

var epoch = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

// Every host can open a ticket as long as a sender may offer it, seven days, and the key that
// encrypts has been at all hosts for a day.
func TestRingOpensTicketsForAWeek(t *testing.T) {
	r, now := newRing(epoch), epoch
	issued := r.keys()[0]
	announced := r.keys()[1]
	for day := 1; day <= 9; day++ {
		now = now.Add(turnAfter)
		if !r.dueAfter(turnAfter, now) {
			t.Fatalf("day %d: the ring is not due", day)
		}
		r = r.turn(now)
		keys := r.keys()
		if keys[0] != announced {
			t.Fatalf("day %d: tickets are encrypted with a key that was not announced", day)
		}
		announced = keys[1]
		opens := false
		for _, key := range keys {
			opens = opens || key == issued
		}
		if want := day <= 7; opens != want {
			t.Errorf("day %d: the first day's tickets open: %v, want %v", day, opens, want)
		}
		if len(keys) > 9 {
			t.Errorf("day %d: %d keys, want 9 at most", day, len(keys))
		}
	}
}

// Clocks that differ by minutes turn the ring once, not to and fro. One that is days ahead does not
// stop it.
func TestRingTurnsByClocksThatDiffer(t *testing.T) {
	r := newRing(epoch)
	for _, test := range []struct {
		name string
		now  time.Time
		due  bool
	}{
		{"a clock ten minutes behind that of the host that turned it", epoch.Add(-10 * time.Minute), false},
		{"the same clock", epoch, false},
		{"a day later", epoch.Add(24 * time.Hour), true},
		{"the host that turned it was a week ahead", epoch.Add(-7 * 24 * time.Hour), true},
	} {
		if got := r.dueAfter(turnAfter, test.now); got != test.due {
			t.Errorf("%s: due %v, want %v", test.name, got, test.due)
		}
	}
}

// A host without NATS turns its own ring, later than the fleet would.
func TestHostAloneTurnsItsRing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := time.Now()
		f, _ := member(t, "mx1", &clock)
		f.Now = time.Now
		first := f.current().keys()
		turned := make(chan [][32]byte, 2)
		f.UseKeys = func(keys [][32]byte) { turned <- keys }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go f.runAlone(ctx)
		time.Sleep(48*time.Hour - time.Second)
		if len(turned) > 0 {
			t.Error("it turned before two days")
		}
		now := <-turned
		if len(now) != 3 || now[0] != first[1] || now[2] != first[0] {
			t.Errorf("after two days it encrypts with another key than the next one, or does not know the old one: %x, then %x", first, now)
		}
		time.Sleep(47 * time.Hour)
		if len(turned) > 0 {
			t.Error("it turned twice in two days")
		}
	})
}

func TestRingIsStoredWhole(t *testing.T) {
	r := newRing(epoch)
	for range 10 {
		r = r.turn(r.Since.Add(turnAfter))
	}
	got, err := decodeRing(r.encode())
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, %v, want %+v", got, err, r)
	}
}

func TestBadRingsAreRejected(t *testing.T) {
	for _, text := range []string{"", "{}", `{"next":"AAAA","current":"AAAA"}`, `{"next":3}`} {
		if r, err := decodeRing([]byte(text)); err == nil {
			t.Errorf("%q is %+v, want an error", text, r)
		}
	}
}
