package fleet

import (
	"reflect"
	"testing"
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
