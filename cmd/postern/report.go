package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/smtp"
	"postern/internal/terminal"
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
func (f reportFlags) read(ui terminal.UI, limit int) ([]ledger.Report, error) {
	book, err := f.open(ui)
	if err != nil {
		return nil, err
	}
	defer book.Close()
	found, err := book.Reports(context.Background(), ledger.ReportFilter{
		Since: f.Since.Time, Domain: smtp.FoldDomain(f.Domain), Submitter: f.Submitter, Verified: f.Trusted, Limit: limit,
	})
	if err == nil && len(found) == 0 && !f.JSON {
		ui.Note("no reports about " + f.Since.Local().Format(time.DateTime) + " and later")
	}
	return found, f.hinted(err)
}

type reportList struct {
	reportFlags
	Limit int `default:"100" placeholder:"N" help:"At most so many (${default})."`
}

// Run is called by kong.
func (r reportList) Run(ui terminal.UI) error {
	found, err := r.read(ui, r.Limit)
	if err != nil {
		return err
	}
	if len(found) > 0 && !r.JSON {
		fmt.Fprintln(ui.Out, reportHead)
	}
	for _, report := range found {
		if r.JSON {
			if err := ui.JSON(reportRow(report)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(ui.Out, reportLine(report))
	}
	return nil
}

type reportShow struct {
	ledgerFlags
	ID   int64 `arg:"" help:"The report's number, as in postern report list."`
	JSON bool  `help:"As one JSON object; docs/json.md tells the fields."`
}

// Run is called by kong.
func (r reportShow) Run(ui terminal.UI) error {
	book, err := r.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	found, err := book.Report(context.Background(), r.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &terminal.HintedError{Err: err, Hint: "postern report list lists those that are kept; their first column is the number"}
	case err != nil:
		return r.hinted(err)
	case r.JSON:
		return ui.JSON(reportRow(found))
	}
	return printReport(ui, found)
}

// A reportJSON is a report as docs/json.md tells it.
type reportJSON struct {
	Report       int64           `json:"report"`
	Time         time.Time       `json:"time"`
	Via          string          `json:"via"`
	Session      string          `json:"session,omitempty"`
	Address      netip.Addr      `json:"address,omitzero"`
	Trusted      bool            `json:"trusted"`
	Signer       string          `json:"signer,omitempty"`
	Verdict      string          `json:"verdict"`
	Submitter    string          `json:"submitter,omitempty"`
	Organization string          `json:"organization,omitempty"`
	ReportID     string          `json:"report_id,omitempty"`
	Start        time.Time       `json:"start,omitzero"`
	End          time.Time       `json:"end,omitzero"`
	Domains      []string        `json:"domains"`
	Successful   int64           `json:"successful"`
	Failed       int64           `json:"failed"`
	Versions     int64           `json:"versions"`
	Warnings     []string        `json:"warnings"`
	Content      json.RawMessage `json:"content,omitempty"`
}

func reportRow(r ledger.Report) reportJSON {
	return reportJSON{
		r.ID, r.At.UTC(), string(r.Via), r.Session, r.Address, r.Verified, r.Signer, r.Verdict, r.Submitter, r.Organization, r.ReportID,
		r.Start, r.End, r.Domains, r.Successful, r.Failed, r.Versions, r.Warnings, r.Content,
	}
}

// reportFormat fits 80 columns as long as there is nothing to say beyond the numbers.
const reportFormat = "%6v  %-10s  %-20s  %-20s  %7s  %7s  %s"

var reportHead = strings.TrimRight(fmt.Sprintf(reportFormat, "report", "day", "submitter", "domain", "success", "failure", ""), " ")

// reportLine is a report in one line of columns, for people.
func reportLine(r ledger.Report) string {
	domains := ""
	if len(r.Domains) > 0 {
		domains = safetext.Shorten(r.Domains[0], 20)
	}
	if len(r.Domains) > 1 {
		domains = fmt.Sprintf("%s +%d", safetext.Shorten(r.Domains[0], 15), len(r.Domains)-1)
	}
	line := fmt.Sprintf(reportFormat, r.ID, reportDay(r), safetext.Shorten(claimed(r), 20), domains, tally(r.Successful), tally(r.Failed), reportWords(r))
	return strings.TrimRight(line, " ")
}

// reportWords say what is to say of a report beyond its numbers.
func reportWords(r ledger.Report) string {
	var words []string
	if !r.Verified {
		words = append(words, "not verified")
	}
	if r.Versions > 1 {
		words = append(words, fmt.Sprintf("one of %d with this id", r.Versions))
	}
	return strings.Join(words, ", ")
}

// claimed is who a report says to come from.
func claimed(r ledger.Report) string { return cmp.Or(r.Submitter, r.Organization, "?") }

// reportDay is the day that a report is about, in UTC; if it does not say, the one on which
// it came.
func reportDay(r ledger.Report) string {
	day := r.Start
	if day.IsZero() {
		day = r.At
	}
	return day.UTC().Format(time.DateOnly)
}

// tally is a number within 7 columns: a report may say anything.
func tally(n int64) string {
	if n < 10_000_000 {
		return fmt.Sprint(n)
	}
	size := float64(n)
	for _, unit := range []string{"k", "M", "G", "T", "P"} {
		if size /= 1000; size < 10_000 {
			return fmt.Sprintf("%.0f%s", size, unit)
		}
	}
	return fmt.Sprintf("%.0fE", size/1000)
}
