package server

import "testing"

func TestLittleLiveMemoryIsCollectedRarely(t *testing.T) {
	for _, test := range []struct {
		liveMiB uint64
		want    int
	}{
		{0, 400},
		{3, 400},
		{9, 350},
		{20, 150},
		{32, 100},
		{40, 75},
		{500, 75},
	} {
		if got := gcPercent(test.liveMiB << 20); got != test.want {
			t.Errorf("%d MiB live: %d %%, want %d %%", test.liveMiB, got, test.want)
		}
	}
}
