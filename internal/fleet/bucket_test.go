package fleet

import "testing"

// A watch that brings nothing more is begun again. One that is late, while others store without end, is not.
func TestWatchThatBringsNothingIsNoticed(t *testing.T) {
	type check struct{ seen, last uint64 }
	for _, test := range []struct {
		name   string
		checks []check
		want   string // the error of the last one
	}{
		{"nothing is stored", []check{{0, 0}, {0, 0}}, ""},
		{"all was brought", []check{{7, 7}, {7, 7}}, ""},
		{"a change is on its way", []check{{7, 8}, {8, 8}}, ""},
		{"others store all the time", []check{{7, 20}, {50, 70}, {100, 119}}, ""},
		{"a change came after the last check", []check{{7, 7}, {7, 8}}, ""},
		{"a change did not arrive", []check{{7, 8}, {7, 8}}, "the watch is 1 changes behind"},
		{"changes did not arrive, and more were stored", []check{{20, 20}, {20, 25}, {20, 31}}, "the watch is 11 changes behind"},
		{"the bucket was deleted and made again", []check{{7, 7}, {7, 2}}, "NATS has lost what it had, or has another bucket"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var lag watchLag
			for i, c := range test.checks {
				want, got := "", ""
				if i == len(test.checks)-1 {
					want = test.want
				}
				if err := lag.note(c.seen, c.last); err != nil {
					got = err.Error()
				}
				if got != want {
					t.Errorf("check %d: %q, want %q", i, got, want)
				}
			}
		})
	}
}
