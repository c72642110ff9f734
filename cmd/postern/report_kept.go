package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"postern/internal/ledger"
	"postern/internal/tlsrptin"
	"postern/tlsrpt"
)

// A keptReport is a report as it is kept, and read.
type keptReport struct {
	ledger.Report
	report *tlsrpt.Report
	kin    ledger.ReportFilter // those that it is compared with; zero: none
}

// keptReportOf reads what is kept.
func keptReportOf(r ledger.Report) (keptReport, error) {
	read, err := tlsrpt.Parse(bytes.NewReader(r.Content))
	if err != nil {
		return keptReport{}, fmt.Errorf("report %d: %w", r.ID, err)
	}
	return keptReport{r, read, kinOf(r)}, nil
}

// kinOf are the reports of the same submitter. Those that name none, as all that are POSTed, have
// their organization's name in common.
func kinOf(r ledger.Report) ledger.ReportFilter {
	if r.Submitter == "" {
		return ledger.ReportFilter{Organization: r.Organization}
	}
	return ledger.ReportFilter{From: r.Submitter}
}

// vouch takes the operator's word that the report is of whom it names: if nothing else
// does, its contact's address.
func (k *keptReport) vouch() {
	if k.Trusted {
		return
	}
	k.Trusted, k.Verdict = true, "--trust says so"
	k.Submitter = cmp.Or(k.Submitter, strings.ToLower(k.report.Contact[strings.LastIndex(k.report.Contact, "@")+1:]))
}

// find reads the report from the ledger or from its file.
func (r reportExplain) find(ctx context.Context, ui terminal, book *ledger.Reader) (k keptReport, err error) {
	var found ledger.Report
	if id, numbered := r.number(); numbered {
		found, err = book.Report(ctx, id)
		if errors.Is(err, fs.ErrNotExist) {
			return k, &hintedError{err, "postern report list tells the numbers of those that are kept"}
		}
	} else {
		found, err = r.file(ctx, ui)
	}
	if err == nil {
		k, err = keptReportOf(found)
	}
	if err == nil && r.Trust {
		k.vouch()
	}
	return k, r.hinted(err)
}

// file reads the first report that a file holds.
func (r reportExplain) file(ctx context.Context, ui terminal) (ledger.Report, error) {
	hand := tlsrptin.NewHand(r.Resolver)
	if r.Offline {
		hand = tlsrptin.NewOfflineHand()
	}
	var all []ledger.Report
	var none error
	err := hand.Read(ctx, r.Which, func(f tlsrptin.Found) error {
		none = cmp.Or(none, f.Err)
		if f.Err == nil && len(all) < 2 {
			all = append(all, f.Report)
		}
		return nil
	})
	switch path := (*os.PathError)(nil); {
	case errors.As(err, &path), err == nil && len(all) == 0:
		return ledger.Report{}, &usageError{cmp.Or(err, none), "give the number of a report that is kept, or a file with one: JSON, gzip or not, or its mail"}
	case err != nil:
		return ledger.Report{}, err
	case len(all) > 1:
		ui.note(r.Which + " holds more than one report, the first is explained; postern report add takes in all")
	}
	return all[0], nil
}

// What is read of other reports.
const (
	maxHistory      = 200      // they are daily, and kept for 90 days
	maxHistoryBytes = 32 << 20 // one of a usual day has a few KiB
)

// history are the other reports of the same submitter that are kept, in the order in which they
// came. Beside one that is trusted those that are not have nothing to say.
func (k keptReport) history(ctx context.Context, book *ledger.Reader) (all []*tlsrpt.Report, err error) {
	if book == nil || k.kin == (ledger.ReportFilter{}) {
		return nil, nil
	}
	kin := k.kin
	kin.Trusted, kin.Limit = k.Trusted && kin.From != "", maxHistory
	found, err := book.Reports(ctx, kin)
	if errors.Is(err, ledger.ErrNoReports) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	others, err := readReports(ctx, book, found)
	slices.SortFunc(others, func(a, b keptReport) int { return cmp.Compare(a.ID, b.ID) })
	return each(others, func(o keptReport) *tlsrpt.Report { return o.report }), err
}

// readReports reads the first of the reports, up to maxHistoryBytes.
func readReports(ctx context.Context, book *ledger.Reader, found []ledger.Report) (all []keptReport, err error) {
	size := 0
	for _, r := range found {
		if r, err = book.Report(ctx, r.ID); err != nil {
			return nil, err
		}
		if size += len(r.Content); size > maxHistoryBytes {
			break
		}
		other, err := keptReportOf(r)
		if err != nil {
			return nil, err
		}
		all = append(all, other)
	}
	return all, nil
}
