package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"postern/internal/ledger"
	"postern/internal/smtp"
)

// report is the subcommand about TLS reports.
type report struct {
	List    reportList    `cmd:"" default:"withargs" help:"List them, the one about the newest time first."`
	Show    reportShow    `cmd:"" help:"Show what is in one, and how it came."`
	Summary reportSummary `cmd:"" help:"Draw successes and failures, by submitter and day."`
	Explain reportExplain `cmd:"" help:"Say what one means: what changed, what was seen here, how things are now, what to do."`
	Add     reportAdd     `cmd:"" help:"Take reports in from files: JSON, gzip, mails, mboxes, Maildirs."`
}

// reportFlags say which reports are meant.
type reportFlags struct {
	ledgerFlags
	Since     since  `default:"30d" placeholder:"TIME" help:"About then and later: so long ago (90m, 24h, 7d) or a date (${default})."`
	Domain    string `placeholder:"NAME" help:"Only about this domain."`
	Submitter string `placeholder:"X" help:"Only from whom has this in the domain or the organization's name."`
	Trusted   bool   `help:"Only those whose submitter's signature holds."`
	JSON      bool   `help:"One JSON object a line; docs/json.md tells the fields."`
}

// read returns the reports, at most limit.
func (f reportFlags) read(ui terminal, limit int) ([]ledger.Report, error) {
	book, err := f.open(ui)
	if err != nil {
		return nil, err
	}
	defer book.Close()
	found, err := book.Reports(context.Background(), ledger.ReportFilter{
		Since: f.Since.Time, Domain: smtp.FoldDomain(f.Domain), Submitter: f.Submitter, Trusted: f.Trusted, Limit: limit,
	})
	if err == nil && len(found) == 0 && !f.JSON {
		ui.note("no reports about " + f.Since.Local().Format(time.DateTime) + " and later")
	}
	return found, f.hinted(err)
}

type reportList struct {
	reportFlags
	Limit int `default:"100" placeholder:"N" help:"At most so many (${default})."`
}

// Run is called by kong.
func (r reportList) Run(ui terminal) error {
	found, err := r.read(ui, r.Limit)
	if err != nil {
		return err
	}
	if len(found) > 0 && !r.JSON {
		fmt.Fprintln(ui.out, reportHead)
	}
	for _, report := range found {
		if r.JSON {
			if err := ui.json(reportRow(report)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(ui.out, reportLine(report))
	}
	return nil
}

type reportShow struct {
	ledgerFlags
	ID   int64 `arg:"" help:"The report's number, as in postern report list."`
	JSON bool  `help:"As one JSON object; docs/json.md tells the fields."`
}

// Run is called by kong.
func (r reportShow) Run(ui terminal) error {
	book, err := r.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	found, err := book.Report(context.Background(), r.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &hintedError{err, "postern report list lists those that are kept; their first column is the number"}
	case err != nil:
		return r.hinted(err)
	case r.JSON:
		return ui.json(reportRow(found))
	}
	return ui.report(found)
}
