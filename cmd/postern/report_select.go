package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/smtp"
	"postern/internal/terminal"
	"postern/internal/tlsrptexplain"
	"postern/internal/tlsrptin"
)

// reportFlags choose reports of the ledger.
type reportFlags struct {
	ledgerFlags
	hostFlag
	Since     since  `complete:"age" default:"30d" placeholder:"TIME" help:"Only reports about this time or later: an age (90m, 24h, 7d) or a date. Default: ${default}."`
	Domain    string `placeholder:"NAME" help:"Only reports about this policy domain; with DANE, that is the MX host."`
	Submitter string `placeholder:"TEXT" help:"Only reports whose submitter contains this text."`
	Verified  bool   `help:"Only reports whose submitter's DKIM signature is valid."`
	JSON      bool   `help:"Print one JSON object per line; see docs/json.md."`
}

func (f reportFlags) filter(limit int) ledger.ReportFilter {
	return ledger.ReportFilter{
		Host: f.Host, Since: f.Since.Time, Domain: smtp.FoldDomain(f.Domain), Submitter: f.Submitter, Verified: f.Verified, Limit: limit,
	}
}

// read returns the reports, at most limit.
func (f reportFlags) read(ui terminal.UI, limit int) ([]tlsrptexplain.CountedReport, error) {
	book, err := f.openIfAny(ui)
	if book == nil {
		if err == nil && !f.JSON {
			ui.Note("no reports: there is no ledger in " + f.Data + " yet (--config, --data)")
		}
		return nil, err
	}
	defer book.Close()
	if err := f.check(book); err != nil {
		return nil, err
	}
	ctx := context.Background()
	found, err := book.Reports(ctx, f.filter(limit))
	switch {
	case err != nil:
		return nil, f.hinted(err)
	case len(found) == 0 && !f.JSON:
		left, err := f.leftOut(ctx, book)
		if err != nil {
			return nil, f.hinted(err)
		}
		ui.Note("no reports about " + localTime(f.Since.Time) + " or later" + left)
	}
	all := make([]tlsrptexplain.CountedReport, len(found))
	for i, r := range found {
		if all[i], err = tlsrptexplain.Count(ctx, book, r, f.Domain); err != nil {
			return nil, f.hinted(err)
		}
	}
	return all, nil
}

// leftOut says which reports an empty list would have without one of the flags.
func (f reportFlags) leftOut(ctx context.Context, book *ledger.Reader) (string, error) {
	var left []string
	var failed error
	without := func(text string, relax func(*ledger.ReportFilter)) {
		filter := f.filter(maxRows)
		relax(&filter)
		found, err := book.Reports(ctx, filter)
		failed = cmp.Or(failed, err)
		if len(found) > 0 {
			oldest := found[len(found)-1].Day()
			left = append(left, fmt.Sprintf("%d %s", len(found), strings.ReplaceAll(text, "OLDEST", oldest)))
		}
	}
	without("older (--since OLDEST)", func(r *ledger.ReportFilter) { r.Since = time.Time{} })
	without("about other domains (--domain)", func(r *ledger.ReportFilter) { r.Domain = "" })
	without("of other submitters (--submitter)", func(r *ledger.ReportFilter) { r.Submitter = "" })
	without("received at other hosts (--host)", func(r *ledger.ReportFilter) { r.Host = "" })
	without("unverified (--verified)", func(r *ledger.ReportFilter) { r.Verified = false })
	if left == nil {
		without("by these flags together (postern report list --since OLDEST)", func(r *ledger.ReportFilter) {
			*r = ledger.ReportFilter{Limit: maxRows}
		})
	}
	if left == nil {
		return ": the ledger has none", failed
	}
	return "; left out: " + strings.Join(left, ", "), failed
}

// A reportArg chooses one report, of the ledger or in a file.
type reportArg struct {
	ledgerFlags
	Which    string `arg:"" name:"report" complete:"report" help:"Number of a stored report, or a file with one: JSON, gzip or mail."`
	Offline  bool   `help:"Do not use the network: no DNS, and no probe."`
	Resolver string `placeholder:"ADDR" help:"Ask this DNS server. Default: the system's."`
	JSON     bool   `help:"Print one JSON object; see docs/json.md."`
}

// number returns the number of a stored report.
func (r reportArg) number() (int64, bool) {
	id, err := strconv.ParseInt(r.Which, 10, 64)
	return id, err == nil
}

// find reads the report from the ledger, if there is one, or from its file.
func (r reportArg) find(ctx context.Context, ui terminal.UI, book *ledger.Reader) (ledger.Report, error) {
	id, numbered := r.number()
	if _, err := os.Stat(r.Which); !numbered && errors.Is(err, fs.ErrNotExist) {
		return ledger.Report{}, &terminal.UsageError{
			Err:  fmt.Errorf("%s is neither the number of a stored report nor a file", r.Which),
			Hint: "find the number with postern report list, first column",
		}
	}
	switch {
	case !numbered:
		return r.file(ctx, ui)
	case book == nil:
		return ledger.Report{}, &terminal.HintedError{
			Err:  fmt.Errorf("report %d: not stored: there is no ledger in %s yet", id, r.Data),
			Hint: "name the configuration of postern serve with --config, or its data folder with --data, or give a file",
		}
	}
	found, err := book.Report(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return found, &terminal.HintedError{Err: err, Hint: "find the number with postern report list, first column"}
	}
	if err != nil {
		return found, r.hinted(err)
	}
	return found.Shortened()
}

var errNoReport = errors.New("no report")

// file reads the first report in a file.
func (r reportArg) file(ctx context.Context, ui terminal.UI) (ledger.Report, error) {
	reader := tlsrptin.NewFileReader(r.Resolver)
	if r.Offline {
		reader = tlsrptin.NewOfflineFileReader()
	}
	var all []ledger.Report
	var none error
	err := reader.Read(ctx, r.Which, func(f tlsrptin.Entry) error {
		none = cmp.Or(none, f.Err)
		if f.Err == nil && len(all) < 2 {
			all = append(all, f.Report)
		}
		return nil
	})
	if err == nil && len(all) == 0 {
		err = &fs.PathError{Op: "reading", Path: r.Which, Err: cmp.Or(none, errNoReport)}
	}
	switch path := (*fs.PathError)(nil); {
	case errors.As(err, &path):
		return ledger.Report{}, &terminal.UsageError{Err: err, Hint: "give the number of a stored report, or a file with one: JSON, gzip, or its mail"}
	case err != nil:
		return ledger.Report{}, err
	case len(all) > 1:
		ui.Note(r.Which + " has several reports; this is the first (postern report add stores them all)")
	}
	return all[0].Shortened()
}
