package tlsrptexplain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"postern/internal/ledger"
	"postern/internal/smtp"
)

// A DaySummary counts the sessions that a submitter reports for a day.
type DaySummary struct {
	Submitter  string `json:"submitter"`
	Verified   bool   `json:"verified"`
	Day        string `json:"day"` // such as 2026-11-24, in UTC
	Reports    int    `json:"reports"`
	Successful int64  `json:"successful"`
	Failed     int64  `json:"failed"`
	Detailed   int64  `json:"detailed"`

	// Repeated reports whether several of the reports are about one domain. They may count
	// the same sessions.
	Repeated bool `json:"repeated,omitempty"`
}

// A CountedReport is a stored report with its sessions.
type CountedReport struct {
	ledger.Report
	Totals Totals
}

// Count returns a stored report with its sessions, or those of one policy domain if that is not
// empty. The ledger knows only the totals, and whether there were warnings: without any, the
// failure details add up to them.
func Count(ctx context.Context, book *ledger.Reader, r ledger.Report, domain string) (CountedReport, error) {
	counted := CountedReport{Report: r, Totals: Totals{Successful: r.Successful, Failed: r.Failed, Detailed: r.Failed}}
	if len(r.Warnings) == 0 && (domain == "" || len(r.Domains) < 2) {
		return counted, nil
	}
	whole, err := book.Report(ctx, r.ID)
	if err != nil {
		return counted, err
	}
	content, err := whole.Parse()
	if err != nil {
		return counted, err
	}
	counted.Totals = TotalsOf(content, domain)
	if i := slices.Index(r.Domains, smtp.FoldDomain(domain)); i > 0 {
		counted.Domains = slices.Concat(r.Domains[i:], r.Domains[:i]) // the first one is shown
	}
	return counted, nil
}

// SameSubmitter reports whether both are for the same submitter and are both verified or
// both unverified.
func (d DaySummary) SameSubmitter(o DaySummary) bool {
	return d.Submitter == o.Submitter && d.Verified == o.Verified
}

// Sessions returns the number of all sessions.
func (d DaySummary) Sessions() int64 { return add(d.Successful, d.Failed) }

func (d DaySummary) totals() Totals { return Totals{d.Successful, d.Failed, d.Detailed} }

// Remark is as of [Totals], and says whether reports may count the same sessions.
func (d DaySummary) Remark() string {
	remark := d.totals().Remark()
	if !d.Repeated {
		return remark
	}
	repeated := fmt.Sprintf("sum of %d reports, some about one domain", d.Reports)
	if remark == "" {
		return repeated
	}
	return remark + "; " + repeated
}

// Summarise adds up reports by submitter and day. It returns them in that order, verified
// ones first. Of several reports with the same ID and day the last counts: it is a
// correction.
func Summarise(reports []CountedReport) []DaySummary {
	type identity struct {
		submitter, id, day string
		verified           bool
	}
	identityOf := func(r CountedReport) identity { return identity{r.From(), r.ReportID, r.Day(), r.Verified} }
	last := make(map[identity]int64)
	for _, r := range reports {
		last[identityOf(r)] = max(last[identityOf(r)], r.ID)
	}
	type domainDay struct {
		day    DaySummary
		domain string
	}
	covered := make(map[domainDay]bool)
	days := make(map[DaySummary]*DaySummary)
	for _, r := range reports {
		if r.ReportID != "" && last[identityOf(r)] != r.ID {
			continue
		}
		key := DaySummary{Submitter: r.From(), Verified: r.Verified, Day: r.Day()}
		if days[key] == nil {
			days[key] = &DaySummary{Submitter: key.Submitter, Verified: key.Verified, Day: key.Day}
		}
		day := days[key]
		day.Reports++
		for _, domain := range r.Domains {
			day.Repeated = day.Repeated || covered[domainDay{key, domain}]
			covered[domainDay{key, domain}] = true
		}
		sum := day.totals().plus(r.Totals)
		day.Successful, day.Failed, day.Detailed = sum.Successful, sum.Failed, sum.Detailed
	}
	var all []DaySummary
	for _, day := range days {
		all = append(all, *day)
	}
	slices.SortFunc(all, func(a, b DaySummary) int {
		byVerified := 0
		if a.Verified != b.Verified {
			byVerified = 1
			if a.Verified {
				byVerified = -1
			}
		}
		return cmp.Or(strings.Compare(a.Submitter, b.Submitter), byVerified, strings.Compare(a.Day, b.Day))
	})
	return all
}
