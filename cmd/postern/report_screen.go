package main

import (
	"fmt"
	"time"

	"postern/internal/meaning"
	"postern/tlsrpt"
)

// reportExplained tells people what a report means.
func (t terminal) reportExplained(k keptReport, e *meaning.Explanation) {
	t.printed("report", reportLine(k))
	t.printed("trust", trustLine(k))
	for _, r := range e.Results {
		fmt.Fprintln(t.out)
		t.printed("policy", fmt.Sprintf("%s of %s: %d sessions got in, %d failed", policyWord(r.Policy.Type), domainWord(r.Policy.Domain), r.Successful, r.Failed))
		t.printed("changed", r.Change.Text())
		for _, m := range r.Said {
			t.printed("said", fmt.Sprintf("%d× %s%s", m.Sessions, m.Result, reasonWords(m.Reasons)))
			t.printed("means", m.Text())
		}
	}
	fmt.Fprintln(t.out)
	t.printed("seen", e.Seen.Text())
	for _, line := range e.Records.Lines() {
		t.printed("now", line)
	}
	fmt.Fprintln(t.out)
	t.printed("cause", e.Conclusion.Cause)
	if e.Conclusion.Confidence > 0 {
		t.printed("sure", e.Conclusion.Confidence.String())
	}
	t.printed("next", e.Conclusion.Next)
	for _, url := range e.Sources() {
		fmt.Fprintf(t.out, "%-*s%s\n", margin, "source", url)
	}
}

// printed is a paragraph in which strangers' words may stand.
func (t terminal) printed(label, text string) { t.paragraph(label, printable(text)) }

func reportLine(k keptReport) string {
	line := "of " + k.report.Organization
	if k.Submitter != "" {
		line += " (" + k.Submitter + ")"
	}
	if !k.report.Start.IsZero() {
		line += fmt.Sprintf(", %s to %s UTC", k.report.Start.UTC().Format("2006-01-02 15:04"), k.report.End.UTC().Format("2006-01-02 15:04"))
	}
	if k.report.ID != "" {
		line += ", its id " + k.report.ID
	}
	if k.ID != 0 {
		line = fmt.Sprintf("number %d, %s, came %s", k.ID, line, k.At.UTC().Format(time.DateOnly))
	}
	return line
}

func trustLine(k keptReport) string {
	if k.Trusted {
		return "yes: " + k.Verdict
	}
	return "no: " + k.Verdict
}

// policyWord is what people call a kind of policy.
func policyWord(t tlsrpt.PolicyType) string {
	switch t {
	case tlsrpt.PolicySTS:
		return "MTA-STS"
	case tlsrpt.PolicyTLSA:
		return "DANE"
	case tlsrpt.NoPolicy, "":
		return "no policy"
	}
	return fmt.Sprintf("unknown policy %.40q", string(t))
}

func domainWord(domain string) string {
	if domain == "" {
		return "a domain that is not named"
	}
	return domain
}

func reasonWords(reasons []string) string {
	words := ""
	for i, r := range reasons {
		if i == 0 {
			words = ", in the sender's words "
		} else {
			words += ", "
		}
		words += fmt.Sprintf("%.80q", r)
	}
	return words
}
