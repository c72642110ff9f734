package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"postern/internal/ledger"
	"postern/tlsrpt"
)

// A keptReport is a report as it is kept, and read.
type keptReport struct {
	ledger.Report
	report *tlsrpt.Report
}

// vouched is the verdict on what the operator vouches for.
const vouched = "the operator vouches for it"

func (k *keptReport) vouch() { k.Trusted, k.Verdict = true, vouched }

func parsedReport(r ledger.Report) (keptReport, error) {
	read, err := tlsrpt.Parse(bytes.NewReader(r.Content))
	if err != nil {
		return keptReport{}, fmt.Errorf("report %d: %w", r.ID, err)
	}
	return keptReport{r, read}, nil
}

const reportHint = "give the number of a report, its JSON, gzip or not, or the whole mail that it came in"

// readReport reads a file that holds a report, or a mail with one.
func readReport(name string, trust bool) (keptReport, error) {
	file, err := os.Open(name)
	if err != nil {
		return keptReport{}, &usageError{err, reportHint}
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, tlsrpt.MaxMailSize+1))
	if err != nil {
		return keptReport{}, &usageError{err, reportHint}
	}
	kept, err := readContent(content)
	if err != nil {
		return keptReport{}, &usageError{fmt.Errorf("%s: %w", name, err), reportHint}
	}
	if kept.Submitter == "" {
		if told, ok := tlsrpt.ParseFileName(name); ok {
			kept.Submitter = told.Submitter
		}
	}
	if trust {
		kept.vouch()
	}
	return kept, nil
}

// readContent takes what is no report for a mail, and tells of both if that has none either.
func readContent(content []byte) (keptReport, error) {
	kept := keptReport{Report: ledger.Report{Via: ledger.ByHand, Verdict: "its signature was not checked"}}
	read, err := tlsrpt.Parse(bytes.NewReader(content))
	if err == nil {
		kept.report = read
		return kept, nil
	}
	mail, mailErr := tlsrpt.ParseMail(bytes.NewReader(content))
	if mailErr != nil {
		return keptReport{}, errors.Join(err, mailErr)
	}
	kept.report, kept.Submitter = mail.Report, mail.Submitter
	return kept, nil
}

// What is read of other reports.
const (
	maxHistory      = 200      // they are daily, and kept for 90 days
	maxHistoryBytes = 32 << 20 // one of a usual day has a few KiB
)

// history are the other reports of the same submitter that are kept, in the order in which they
// came. Beside one that is trusted those that are not have nothing to say.
func (k keptReport) history(ctx context.Context, book *ledger.Reader) (all []*tlsrpt.Report, err error) {
	if book == nil || k.Submitter == "" {
		return nil, nil
	}
	found, err := book.Reports(ctx, ledger.ReportFilter{Submitter: k.Submitter, Limit: maxHistory})
	if errors.Is(err, ledger.ErrNoReports) {
		return nil, nil
	}
	slices.SortFunc(found, func(a, b ledger.Report) int { return cmp.Compare(a.ID, b.ID) })
	size := 0
	for _, r := range found {
		if err != nil || size > maxHistoryBytes {
			break
		}
		if r.Submitter != k.Submitter || k.Trusted && !r.Trusted {
			continue
		}
		var other keptReport
		if r, err = book.Report(ctx, r.ID); err == nil {
			other, err = parsedReport(r)
		}
		size += len(r.Content)
		all = append(all, other.report)
	}
	return all, err
}
