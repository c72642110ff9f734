package tlsrptexplain

import (
	"context"
	"slices"

	"postern/internal/ledger"
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
