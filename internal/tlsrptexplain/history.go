package tlsrptexplain

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/smtp"
	"postern/tlsrpt"
)

// Limits of [History].
const (
	maxHistory      = 200      // reports are daily, and kept for 90 days
	maxHistoryBytes = 32 << 20 // a typical report has a few KiB
)

// Ask returns the question that a stored report is, with its history. Where the report names no
// submitter, the domain of its contact is a guess at it. A nil book has no history.
func Ask(ctx context.Context, book *ledger.Reader, r ledger.Report, content *tlsrpt.Report) (q Question, err error) {
	q = Question{Report: content, Submitter: cmp.Or(r.Submitter, ContactDomain(content)), Verified: r.Verified, Now: time.Now()}
	if book != nil {
		q.History, err = History(ctx, book, r, q.Submitter)
	}
	return q, err
}

// ContactDomain returns the domain of a report's contact.
func ContactDomain(r *tlsrpt.Report) string {
	return smtp.FoldDomain(r.Contact[strings.LastIndex(r.Contact, "@")+1:])
}

// A PastReport is a stored report of a submitter.
type PastReport struct {
	*tlsrpt.Report
	Verified bool
}

// History returns the stored reports of r's submitter, for [Question].History. A verified
// report has a history of verified ones only. An unverified report is compared with all that
// name the submitter or, as all by HTTPS, no submitter and the same organization.
func History(ctx context.Context, book *ledger.Reader, r ledger.Report, submitter string) ([]PastReport, error) {
	filter := ledger.ReportFilter{From: submitter, Verified: r.Verified, Limit: maxHistory}
	if !r.Verified {
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
	history := make(map[int64]PastReport)
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
		content, err := full.Parse()
		if err != nil {
			return nil, err
		}
		history[full.ID] = PastReport{content, full.Verified}
		order = append(order, full.ID)
	}
	slices.Sort(order)
	all := make([]PastReport, 0, len(order))
	for _, id := range order {
		all = append(all, history[id])
	}
	return all, nil
}
