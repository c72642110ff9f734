package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/tlsrpt"
)

// maxShown bounds the failures of a policy and the warnings that are shown: a report may
// have thousands.
const maxShown = 50

// report tells what is in a report, for people.
func printReport(t terminal.UI, r ledger.Report) error {
	content, err := tlsrpt.Parse(bytes.NewReader(r.Content))
	if err != nil {
		return err
	}
	t.Paragraph("report", fmt.Sprintf("%d, came %s by %s%s", r.ID, r.At.Local().Format(time.DateTime), r.Via, origin(r)))
	t.Paragraph("submitter", safetext.Printable(claimed(r)))
	t.Paragraph("verdict", safetext.Printable(verdictWords(r)))
	t.Paragraph("organization", safetext.Printable(r.Organization))
	t.Paragraph("contact", safetext.Printable(content.Contact))
	t.Paragraph("its id", safetext.Printable(r.ReportID)+versionWords(r))
	t.Paragraph("about", span(r.Start, r.End))
	for _, p := range content.Policies {
		fmt.Fprintln(t.Out)
		printPolicyResult(t, p)
	}
	if len(r.Warnings) > 0 {
		fmt.Fprintln(t.Out)
	}
	for i, w := range r.Warnings {
		if i == maxShown {
			t.Paragraph("", fmt.Sprintf("and %d more warnings", len(r.Warnings)-i))
			break
		}
		t.Paragraph("odd", safetext.Printable(w))
	}
	return nil
}

// origin says where a report came from.
func origin(r ledger.Report) string {
	var words string
	if r.Address.IsValid() {
		words = fmt.Sprintf(" from %s", r.Address)
	}
	if r.Session != "" {
		words += ", session " + safetext.Printable(r.Session)
	}
	return words
}

func verdictWords(r ledger.Report) string {
	if r.Verified {
		return "trusted: " + r.Verdict
	}
	return "not verified: " + r.Verdict
}

func versionWords(r ledger.Report) string {
	if r.Versions > 1 {
		return fmt.Sprintf(" (%d reports of this submitter have it)", r.Versions)
	}
	return ""
}

func span(start, end time.Time) string {
	day := func(t time.Time) string {
		if t.IsZero() {
			return "?"
		}
		return t.Format(time.RFC3339)
	}
	return day(start) + " to " + day(end)
}

// policy tells how it went under one policy.
func printPolicyResult(t terminal.UI, p tlsrpt.PolicyResult) {
	t.Paragraph("policy", safetext.Printable(fmt.Sprintf("%s of %s", p.Policy.Type, p.Policy.Domain)))
	for _, host := range p.Policy.MXHosts[:min(len(p.Policy.MXHosts), maxShown)] {
		t.Paragraph("mx", safetext.Printable(host))
	}
	t.Paragraph("sessions", fmt.Sprintf("%d succeeded, %d failed", p.Successful, p.Failed))
	for i, f := range p.Failures {
		if i == maxShown {
			t.Paragraph("", fmt.Sprintf("and %d more kinds of failure: --json has all", len(p.Failures)-i))
			return
		}
		t.Paragraph("failed", safetext.Printable(failureWords(f)))
	}
}

func failureWords(f tlsrpt.Failure) string {
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

func address(a netip.Addr) string { return strings.TrimPrefix(a.String(), "invalid IP") }
