package tlsrptexplain

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"

	"postern/internal/ledger"
	"postern/internal/smtp"
	"postern/tlsrpt"
)

// Bounds of what [History] reads.
const (
	maxHistory      = 200      // reports are daily, and kept for 90 days
	maxHistoryBytes = 32 << 20 // the usual report of a day has a few KiB
)

// History returns the reports of r's submitter in the ledger, for [Question.History].
// With verified, unverified ones are left out. Reports that name no submitter, as all
// that come by HTTPS, are compared with those of the same organization.
func History(ctx context.Context, book *ledger.Reader, r ledger.Report, verified bool) ([]*tlsrpt.Report, error) {
	filter := ledger.ReportFilter{From: r.Submitter, Verified: verified && r.Submitter != "", Limit: maxHistory}
	if r.Submitter == "" {
		filter.Organization = r.Organization
	}
	if filter.From == "" && filter.Organization == "" {
		return nil, nil
	}
	found, err := book.Reports(ctx, filter)
	if err != nil {
		return nil, err
	}
	// The newest are read, and returned in the order in which they came.
	history := make(map[int64]*tlsrpt.Report)
	var order []int64
	size := 0
	for _, listed := range found {
		whole, err := book.Report(ctx, listed.ID)
		if err != nil {
			return nil, err
		}
		if size += len(whole.Content); size > maxHistoryBytes {
			break
		}
		if history[whole.ID], err = whole.Parse(); err != nil {
			return nil, err
		}
		order = append(order, whole.ID)
	}
	slices.Sort(order)
	all := make([]*tlsrpt.Report, 0, len(order))
	for _, id := range order {
		all = append(all, history[id])
	}
	return all, nil
}

// A DaySummary is what a submitter reports about a day.
type DaySummary struct {
	Submitter  string `json:"submitter"`
	Verified   bool   `json:"verified"`
	Day        string `json:"day"` // 2026-11-24, in UTC
	Reports    int    `json:"reports"`
	Successful int64  `json:"successful"`
	Failed     int64  `json:"failed"`
}

// SameSubmitter reports whether both are of one submitter, verified or not.
func (d DaySummary) SameSubmitter(o DaySummary) bool {
	return d.Submitter == o.Submitter && d.Verified == o.Verified
}

// Sessions is the number of sessions.
func (d DaySummary) Sessions() int64 { return add(d.Successful, d.Failed) }

// Summarize adds up reports by submitter, verified ones first, and day. Of those with
// the same id about the same day the last counts: it is a correction.
func Summarize(reports []ledger.Report) []DaySummary {
	type identity struct {
		submitter, id, day string
		verified           bool
	}
	identityOf := func(r ledger.Report) identity { return identity{r.From(), r.ReportID, r.Day(), r.Verified} }
	last := make(map[identity]int64)
	for _, r := range reports {
		last[identityOf(r)] = max(last[identityOf(r)], r.ID)
	}
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
		day.Successful = add(day.Successful, r.Successful)
		day.Failed = add(day.Failed, r.Failed)
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

// Sessions adds up a report's sessions under the policies of a domain.
func Sessions(r *tlsrpt.Report, domain string) (successful, failed int64) {
	domain = smtp.FoldDomain(domain)
	for _, p := range r.Policies {
		if smtp.FoldDomain(p.Policy.Domain) == domain {
			successful, failed = add(successful, p.Successful), add(failed, p.Failed)
		}
	}
	return successful, failed
}

// add stops at the largest number: a report may claim anything.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
