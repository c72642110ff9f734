package dashboard

import "postern/internal/ledger"

// A trendImage is a small bar chart of a sender's days: sessions that worked above those that
// failed.
type trendImage struct {
	Width, Height int
	Bars          []trendBar
}

type trendBar struct {
	X, Width       int
	Worked, Failed int // heights
	Top            int // y of the upper one
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
	for i, day := range t {
		bar := trendBar{X: i * trendStep, Width: trendStep - 1, Worked: height(day.Full + day.Resumed + day.Plaintext), Failed: height(day.Failed)}
		bar.Top = image.Height - bar.Failed - bar.Worked
		image.Bars = append(image.Bars, bar)
	}
	return image
}

// Bottom is the y of a bar's lower part.
func (b trendBar) Bottom() int { return b.Top + b.Worked }
