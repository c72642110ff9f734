package main

import (
	"fmt"
	"math"
	"strings"
)

// most is the largest sum of a day of the same submitter.
func most(all []summaryJSON, of summaryJSON) (n int64) {
	for _, day := range all {
		if day.sameParty(of) {
			n = max(n, plus(day.Successful, day.Failed))
		}
	}
	return n
}

// party begins the days of a submitter.
func (t terminal) party(s summaryJSON, first bool) {
	if !first {
		fmt.Fprintln(t.out)
	}
	words := ""
	if !s.Trusted {
		words = " (not verified)"
	}
	fmt.Fprintln(t.out, short(s.Submitter, 60)+words)
}

// line is a day with a bar as long as its part of the largest day's sessions.
func (s summaryJSON) line(most int64, ascii bool) string {
	return fmt.Sprintf("  %s  %s  %8s ok  %8s failed", s.Day, s.bar(most, ascii), tally(s.Successful), tally(s.Failed))
}

const barWidth = 30

// bar has a cell at least for what is there at all: one failure in a million is seen.
func (s summaryJSON) bar(most int64, ascii bool) string {
	fine, bad, none := "█", "░", " "
	if ascii {
		fine, bad = "=", "x"
	}
	cells := func(n int64) int {
		if n == 0 {
			return 0
		}
		return max(1, int(math.Round(float64(n)/float64(most)*barWidth)))
	}
	failed := cells(s.Failed)
	succeeded := min(cells(s.Successful), barWidth-failed)
	if s.Successful > 0 && succeeded == 0 {
		succeeded, failed = 1, failed-1
	}
	return strings.Repeat(fine, succeeded) + strings.Repeat(bad, failed) + strings.Repeat(none, barWidth-succeeded-failed)
}
