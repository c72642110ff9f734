package main

import (
	"fmt"
	"math"
	"strings"

	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/internal/tlsrptexplain"
)

type reportSummaryCmd struct {
	reportFlags
	ASCII bool `help:"Draw in ASCII."`
}

// Run is called by kong.
func (r reportSummaryCmd) Run(ui terminal.UI) error {
	found, err := r.read(ui, maxRows)
	if err != nil {
		return err
	}
	if len(found) == maxRows {
		ui.Note(fmt.Sprintf("only the newest %d reports are counted; narrow with --since, --domain or --submitter", maxRows))
	}
	all := tlsrptexplain.Summarise(found)
	if !r.JSON {
		r.chart(ui, all)
		return nil
	}
	for _, day := range all {
		if err := ui.JSON(day); err != nil {
			return err
		}
	}
	return nil
}

// chart draws a bar for each day, below its submitter.
func (r reportSummaryCmd) chart(ui terminal.UI, all []tlsrptexplain.DaySummary) {
	var most int64
	for i, day := range all {
		if i == 0 || !day.SameSubmitter(all[i-1]) {
			if i > 0 {
				fmt.Fprintln(ui.Out)
			}
			remark := ""
			if !day.Verified {
				remark = " (unverified)"
			}
			fmt.Fprintln(ui.Out, safetext.Shorten(day.Submitter, 60)+remark)
			most = 0
			for _, d := range all[i:] {
				if d.SameSubmitter(day) {
					most = max(most, d.Sessions())
				}
			}
		}
		remark := day.Remark()
		if remark != "" {
			remark = " (" + remark + ")"
		}
		fmt.Fprintf(ui.Out, "  %s  %s  %8s ok  %8s failed%s\n", day.Day, bar(day, most, r.ASCII), shortCount(day.Successful), shortCount(day.Failed), remark)
	}
}

const barWidth = 30

// bar is as long as the day's part of the sessions of the submitter's busiest day. It
// has at least one cell for a count above 0: one failure in a million is visible.
func bar(day tlsrptexplain.DaySummary, most int64, ascii bool) string {
	successChar, failureChar := "█", "░"
	if ascii {
		successChar, failureChar = "=", "x"
	}
	cells := func(n int64) int {
		if n == 0 {
			return 0
		}
		return max(1, int(math.Round(float64(n)/float64(most)*barWidth)))
	}
	failed := cells(day.Failed)
	succeeded := min(cells(day.Successful), barWidth-failed)
	if day.Successful > 0 && succeeded == 0 {
		succeeded, failed = 1, failed-1
	}
	return strings.Repeat(successChar, succeeded) + strings.Repeat(failureChar, failed) + strings.Repeat(" ", barWidth-succeeded-failed)
}
