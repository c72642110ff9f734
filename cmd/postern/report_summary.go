package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/smtp"
	"postern/internal/terminal"
)

type reportSummary struct {
	reportFlags
	ASCII bool `help:"Draw in ASCII."`
}

// maxSummed is how many reports are summed up: the most that the ledger gives.
const maxSummed = 10_000

// Run is called by kong.
func (r reportSummary) Run(ui terminal.UI) error {
	found, err := r.read(ui, maxSummed)
	if err != nil {
		return err
	}
	if len(found) == maxSummed {
		ui.Note(fmt.Sprintf("only the newest %d reports are summed up; --since, --domain and --submitter choose", maxSummed))
	}
	if err := r.narrow(ui, found); err != nil {
		return err
	}
	all := summed(found)
	for i, day := range all {
		if r.JSON {
			if err := ui.JSON(day); err != nil {
				return err
			}
			continue
		}
		if i == 0 || !day.sameParty(all[i-1]) {
			printSubmitter(ui, day, i == 0)
		}
		fmt.Fprintln(ui.Out, day.line(most(all, day), r.ASCII))
	}
	return nil
}

// narrow leaves of the numbers of reports about several domains those of the one that is asked for.
func (r reportSummary) narrow(ui terminal.UI, found []ledger.Report) error {
	if r.Domain == "" {
		return nil
	}
	book, err := r.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	for i := range found {
		if len(found[i].Domains) < 2 {
			continue
		}
		whole, err := book.Report(context.Background(), found[i].ID)
		if err != nil {
			return r.hinted(err)
		}
		if found[i].Successful, found[i].Failed, err = sessionsOf(whole, smtp.FoldDomain(r.Domain)); err != nil {
			return err
		}
	}
	return nil
}

// sessionsOf adds up a report's sessions under the policies of a domain.
func sessionsOf(r ledger.Report, domain string) (successful, failed int64, err error) {
	k, err := keptReportOf(r)
	if err != nil {
		return 0, 0, err
	}
	for _, p := range k.report.Policies {
		if smtp.FoldDomain(p.Policy.Domain) == domain {
			successful, failed = plus(successful, p.Successful), plus(failed, p.Failed)
		}
	}
	return successful, failed, nil
}

// A summaryJSON is what a submitter reports of a day, as docs/json.md tells it.
type summaryJSON struct {
	Submitter  string `json:"submitter"`
	Trusted    bool   `json:"trusted"`
	Day        string `json:"day"`
	Reports    int    `json:"reports"`
	Successful int64  `json:"successful"`
	Failed     int64  `json:"failed"`
}

func (s summaryJSON) sameParty(o summaryJSON) bool {
	return s.Submitter == o.Submitter && s.Trusted == o.Trusted
}

// summed adds reports up by submitter and day. What is verified stands apart from what only claims
// to be of the same; of those with one id about one day the last that came counts, which is the
// correction.
func summed(reports []ledger.Report) []summaryJSON {
	type name struct {
		submitter, id, day string
		trusted            bool
	}
	nameOf := func(r ledger.Report) name { return name{claimed(r), r.ReportID, reportDay(r), r.Verified} }
	newest := make(map[name]int64)
	for _, r := range reports {
		newest[nameOf(r)] = max(newest[nameOf(r)], r.ID)
	}
	days := make(map[summaryJSON]*summaryJSON)
	for _, r := range reports {
		if r.ReportID != "" && newest[nameOf(r)] != r.ID {
			continue
		}
		key := summaryJSON{Submitter: claimed(r), Trusted: r.Verified, Day: reportDay(r)}
		if days[key] == nil {
			days[key] = &summaryJSON{Submitter: key.Submitter, Trusted: key.Trusted, Day: key.Day}
		}
		days[key].add(r)
	}
	var all []summaryJSON
	for _, day := range days {
		all = append(all, *day)
	}
	slices.SortFunc(all, func(a, b summaryJSON) int {
		return cmp.Or(strings.Compare(a.Submitter, b.Submitter), -compareBool(a.Trusted, b.Trusted), strings.Compare(a.Day, b.Day))
	})
	return all
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func (s *summaryJSON) add(r ledger.Report) {
	s.Reports++
	s.Successful = plus(s.Successful, r.Successful)
	s.Failed = plus(s.Failed, r.Failed)
}

// plus stops at the largest number: a report may say anything.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

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
func printSubmitter(t terminal.UI, s summaryJSON, first bool) {
	if !first {
		fmt.Fprintln(t.Out)
	}
	words := ""
	if !s.Trusted {
		words = " (not verified)"
	}
	fmt.Fprintln(t.Out, safetext.Shorten(s.Submitter, 60)+words)
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
