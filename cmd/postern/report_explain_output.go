package main

import (
	"cmp"
	"fmt"
	"time"

	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/internal/tlsrptexplain"
)

// printReportExplanation prints what a report means. Any text may come from strangers.
func printReportExplanation(ui terminal.UI, k parsedReport, e *tlsrptexplain.Explanation) {
	show := func(label, text string) { ui.Paragraph(label, safetext.Printable(text)) }
	show("report", explainedReport(k))
	show("verdict", verdict(k.Report))
	for _, r := range e.Results {
		fmt.Fprintln(ui.Out)
		show("policy", fmt.Sprintf("%s of %s: %s succeeded, %s", tlsrptexplain.PolicyName(r.Policy.Type),
			cmp.Or(r.Policy.Domain, "an unnamed domain"), plural(r.Successful, "session", "sessions"), r.FailedText()))
		show("changed", r.Change.Text())
		for _, c := range r.Counts {
			words := c.ReasonsText()
			if words != "" {
				words = ", in the sender's words " + words
			}
			show("result", fmt.Sprintf("%d× %s%s", c.Sessions, c.Result, words))
			show("means", c.Text())
		}
		if r.MoreCounts > 0 {
			show("", fmt.Sprintf("and %d more result types with fewer sessions", r.MoreCounts))
		}
	}
	if e.More > 0 {
		show("", fmt.Sprintf("and %d more policies with fewer failures", e.More))
	}
	fmt.Fprintln(ui.Out)
	show("activity", e.Activity.Text())
	for _, line := range e.Records.Lines() {
		show("now", line)
	}
	fmt.Fprintln(ui.Out)
	show("cause", e.Conclusion.Cause)
	if e.Conclusion.Confidence > 0 {
		show("confidence", e.Conclusion.Confidence.String())
	}
	show("next", e.Conclusion.Next)
	for _, url := range e.Sources() {
		fmt.Fprintf(ui.Out, "%-*s%s\n", terminal.Margin, "source", url)
	}
}

// explainedReport says which report it is.
func explainedReport(k parsedReport) string {
	line := fmt.Sprintf("from %s (%s), period %s", k.Organization, cmp.Or(k.Submitter, "unknown domain"), span(k.report.Start, k.report.End))
	which := ""
	if k.ID != 0 {
		which = fmt.Sprintf("%d ", k.ID)
		line += ", " + received(k.Via) + " " + k.At.UTC().Format(time.DateOnly)
	}
	if !k.Verified {
		which += "unverified, "
	}
	line = which + line
	if k.report.ID != "" {
		line += ", ID " + k.report.ID
	}
	return line
}
