package main

import (
	"fmt"
	"strings"

	"postern/internal/jsonout"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/internal/tlsrptexplain"
)

// reportCmd is about TLS reports.
type reportCmd struct {
	List    reportListCmd    `cmd:"" default:"withargs" help:"List reports, the newest first."`
	Show    reportShowCmd    `cmd:"" help:"Show a report and how it was received."`
	Summary reportSummaryCmd `cmd:"" help:"Chart successful and failed sessions by submitter and day."`
	Explain reportExplainCmd `cmd:"" help:"Find the likeliest cause of a report's failures and the next step."`
	Add     reportAddCmd     `cmd:"" help:"Store reports from files: JSON, gzip, mail, mbox or Maildir."`
}

type reportListCmd struct {
	reportFlags
	Limit limit `default:"100" placeholder:"N" help:"Print at most this many reports, up to 10000. Default: ${default}."`
}

// Help is called by kong.
func (reportListCmd) Help() string {
	return `A TLS report says how a mail provider's connections to your domains went in a day (RFC 8460). Postern receives them if the table [reports] of the configuration says so; postern report add stores others. Anyone can write a report: the list says which are unverified.

Examples:

  postern report list --verified
  postern report explain 17
  postern report add Maildir/`
}

// Run is called by kong.
func (r reportListCmd) Run(ui terminal.UI) error {
	found, err := r.read(ui, r.Limit.query())
	if err != nil {
		return err
	}
	found = cut(ui, found, r.Limit)
	if len(found) > 0 && !r.JSON {
		fmt.Fprintln(ui.Out, reportHead)
	}
	for _, report := range found {
		if r.JSON {
			if err := ui.JSON(jsonout.NewReport(report.Report, report.Totals)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(ui.Out, reportLine(report))
	}
	return nil
}

// reportFormat fits 80 columns unless there is a remark.
const reportFormat = "%6v  %-10s  %-20s  %-20s  %7s  %7s  %s"

var reportHead = strings.TrimRight(fmt.Sprintf(reportFormat, "report", "day (UTC)", "submitter", "domain", "success", "failure", ""), " ")

// reportLine is a report in a line of the table.
func reportLine(r tlsrptexplain.CountedReport) string {
	domains := ""
	if len(r.Domains) > 0 {
		domains = safetext.Shorten(r.Domains[0], 20)
	}
	if len(r.Domains) > 1 {
		domains = fmt.Sprintf("%s +%d", safetext.Shorten(r.Domains[0], 15), len(r.Domains)-1)
	}
	var remarks []string
	if !r.Verified {
		remarks = append(remarks, "unverified")
	}
	if r.Versions > 1 {
		remarks = append(remarks, fmt.Sprintf("one of %d versions", r.Versions))
	}
	if differ := r.Totals.Remark(); differ != "" {
		remarks = append(remarks, differ)
	}
	line := fmt.Sprintf(reportFormat, r.ID, r.Day(), safetext.Shorten(r.From(), 20), domains,
		shortCount(r.Totals.Successful), shortCount(r.Totals.Failed), strings.Join(remarks, ", "))
	return strings.TrimRight(line, " ")
}

// shortCount is a number within 7 columns: a report may claim any.
func shortCount(n int64) string {
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
