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

// Limits of [History].
const (
	maxHistory      = 200      // reports are daily, and kept for 90 days
	maxHistoryBytes = 32 << 20 // a typical report has a few KiB
)

// History returns the stored reports of r's submitter, for [Question].History. With
// verified it returns only verified ones. For a report without a submitter, as all by
// HTTPS, it returns those of the same organization.
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
	// The ledger lists the newest first. They are returned in order of arrival.
	history := make(map[int64]*tlsrpt.Report)
	var order []int64
	size := 0
	for _, listed := range found {
		full, err := book.Report(ctx, listed.ID)
		if err != nil {
			return nil, err
		}
		if size += len(full.Content); size > maxHistoryBytes {
			break
		}
		if history[full.ID], err = full.Parse(); err != nil {
			return nil, err
		}
		order = append(order, full.ID)
	}
	slices.Sort(order)
	all := make([]*tlsrpt.Report, 0, len(order))
	for _, id := range order {
		all = append(all, history[id])
	}
	return all, nil
}

// A DaySummary counts the sessions that a submitter reports for a day.
type DaySummary struct {
	Submitter  string `json:"submitter"`
	Verified   bool   `json:"verified"`
	Day        string `json:"day"` // such as 2026-11-24, in UTC
	Reports    int    `json:"reports"`
	Successful int64  `json:"successful"`
	Failed     int64  `json:"failed"`
}

// SameSubmitter reports whether both are for the same submitter and are both verified or
// both unverified.
func (d DaySummary) SameSubmitter(o DaySummary) bool {
	return d.Submitter == o.Submitter && d.Verified == o.Verified
}

// Sessions returns the number of all sessions.
func (d DaySummary) Sessions() int64 { return add(d.Successful, d.Failed) }

// Summarize adds up reports by submitter and day. It returns them in that order, verified
// ones first. Of several reports with the same ID and day the last counts: it is a
// correction.
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

// Sessions returns the sessions in a report that are for a policy domain.
func Sessions(r *tlsrpt.Report, domain string) (successful, failed int64) {
	domain = smtp.FoldDomain(domain)
	for _, p := range r.Policies {
		if smtp.FoldDomain(p.Policy.Domain) == domain {
			successful, failed = add(successful, p.Successful), add(failed, p.Failed)
		}
	}
	return successful, failed
}

// add returns the sum or, if it overflows, the largest number: a report may contain any
// numbers.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
