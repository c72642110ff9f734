package dashboard

import (
	"fmt"
	"strings"

	"postern/internal/ledger"
)

// A trendImage is a small bar chart of a sender's days: sessions that worked above those that
// failed, each as one path, since a page has a hundred of them.
type trendImage struct {
	Width, Height  int
	Worked, Failed string // paths; empty if there were none
}

const (
	trendHeight = 24
	trendStep   = 6
)

// newTrendImage scales a trend to its day with the most sessions. A failure is never too small
// to be seen.
func newTrendImage(t ledger.Trend) trendImage {
	var most int64 = 1
	for _, day := range t {
		most = max(most, day.Full+day.Resumed+day.Plaintext+day.Failed)
	}
	height := func(n int64) int {
		if n == 0 {
			return 0
		}
		return max(2, int(n*trendHeight/most))
	}
	image := trendImage{Width: trendStep * len(t), Height: trendHeight + 4}
	var worked, failed strings.Builder
	for i, day := range t {
		low := height(day.Failed)
		drawBar(&failed, i*trendStep, image.Height, low)
		drawBar(&worked, i*trendStep, image.Height-low, height(day.Full+day.Resumed+day.Plaintext))
	}
	image.Worked, image.Failed = worked.String(), failed.String()
	return image
}

// drawBar adds a bar to a path, upwards from a bottom.
func drawBar(path *strings.Builder, x, bottom, height int) {
	if height > 0 {
		fmt.Fprintf(path, "M%d %dh%dv-%dh-%dz", x, bottom, trendStep-1, height, trendStep-1)
	}
}
