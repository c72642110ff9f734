package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/internal/tlsrptexplain"
	"postern/tlsrpt"
)

type reportShowCmd struct{ reportArg }

// Run is called by kong.
func (r reportShowCmd) Run(ui terminal.UI) error {
	var book *ledger.Reader
	if _, numbered := r.number(); numbered {
		var err error
		if book, err = r.openIfAny(ui); err != nil {
			return err
		}
	}
	if book != nil {
		defer book.Close()
	}
	found, err := r.find(context.Background(), ui, book)
	if err != nil {
		return err
	}
	content, err := found.Parse()
	if err != nil {
		return err
	}
	if r.JSON {
		return ui.JSON(jsonout.NewReport(found, tlsrptexplain.TotalsOf(content, "")))
	}
	printReport(ui, found, content)
	return nil
}

// maxShown bounds the failures of a policy and the warnings that are printed: a report
// may have thousands.
const maxShown = 50

// printReport prints what is in a report.
func printReport(ui terminal.UI, r ledger.Report, content *tlsrpt.Report) {
	if r.ID != 0 { // otherwise it is in a file, and not stored
		ui.Paragraph("report", fmt.Sprintf("%d, %s %s%s", r.ID, received(r.Via), localTime(r.At), origin(r)))
	}
	ui.Paragraph("submitter", safetext.Printable(r.From()))
	ui.Paragraph("verdict", safetext.Printable(verdict(r)))
	ui.Paragraph("organization", safetext.Printable(r.Organization))
	ui.Paragraph("contact", safetext.Printable(content.Contact))
	versions := ""
	if r.Versions > 1 {
		versions = fmt.Sprintf(" (%d reports of this submitter have it)", r.Versions)
	}
	ui.Paragraph("report ID", safetext.Printable(r.ReportID)+versions)
	ui.Paragraph("period", span(r.Start, r.End))
	for _, p := range content.Policies {
		fmt.Fprintln(ui.Out)
		printPolicy(ui, p)
	}
	if len(r.Warnings) > 0 {
		fmt.Fprintln(ui.Out)
	}
	for i, w := range r.Warnings {
		if i == maxShown {
			ui.Paragraph("", fmt.Sprintf("and %d more warnings", len(r.Warnings)-i))
			break
		}
		ui.Paragraph("warning", safetext.Printable(w))
	}
}

// received says what a stored report's time is the time of.
func received(via ledger.Via) string {
	if via == ledger.ByFile {
		return "added"
	}
	return "received"
}

// origin says where a report came from.
func origin(r ledger.Report) string {
	words := " by " + string(r.Via)
	if r.Via == ledger.ByFile {
		words = " from a file"
	}
	if r.Address.IsValid() {
		words = fmt.Sprintf(" from %s", r.Address)
	}
	if r.Session != "" {
		words += ", session " + safetext.Printable(r.Session)
	}
	return words + atHost(r.Host)
}

// verdict says whether a report is verified, and why.
func verdict(r ledger.Report) string {
	if r.Verified {
		return "verified: " + r.Verdict
	}
	return "unverified: " + r.Verdict
}

func span(start, end time.Time) string {
	format := func(t time.Time) string {
		if t.IsZero() {
			return "?"
		}
		return t.Format(time.RFC3339)
	}
	return format(start) + " to " + format(end)
}

// printPolicy prints the sessions under one policy.
func printPolicy(ui terminal.UI, p tlsrpt.PolicyResult) {
	ui.Paragraph("policy", safetext.Printable(fmt.Sprintf("%s of %s", p.Policy.Type, p.Policy.Domain)))
	for _, host := range p.Policy.MXHosts[:min(len(p.Policy.MXHosts), maxShown)] {
		ui.Paragraph("mx", safetext.Printable(host))
	}
	ui.Paragraph("sessions", fmt.Sprintf("%d succeeded, %s", p.Successful, tlsrptexplain.PolicyTotals(p).FailedText()))
	for i, f := range p.Failures {
		if i == maxShown {
			ui.Paragraph("", fmt.Sprintf("and %d more failure details; --json prints all", len(p.Failures)-i))
			return
		}
		ui.Paragraph("failed", safetext.Printable(failureDetail(f)))
	}
}

func failureDetail(f tlsrpt.Failure) string {
	address := func(a netip.Addr) string { return strings.TrimPrefix(a.String(), "invalid IP") }
	words := fmt.Sprintf("%d: %s", f.Sessions, f.Result)
	for _, part := range []struct {
		name  string
		value string
	}{
		{"from", address(f.SendingMTA)}, {"at", f.ReceivingMX}, {"at", address(f.ReceivingIP)}, {"which greets as", f.ReceivingHELO},
		{"code", f.ReasonCode}, {"see", f.AdditionalInfo},
	} {
		if part.value != "" {
			words += fmt.Sprintf(", %s %s", part.name, part.value)
		}
	}
	return words
}
