package main

import (
	"cmp"
	"fmt"
	"time"

	"postern/internal/tlsrptexplain"
	"postern/tlsrpt"
)

// reportExplained tells people what a report means.
func (t terminal) reportExplained(k keptReport, e *tlsrptexplain.Explanation) {
	t.printed("report", explainedLine(k))
	t.printed("verdict", verdictWords(k.Report))
	for _, r := range e.Results {
		fmt.Fprintln(t.out)
		t.printed("policy", policyLine(r))
		t.printed("changed", r.Change.Text())
		for _, m := range r.Said {
			t.printed("said", fmt.Sprintf("%d× %s%s", m.Sessions, m.Result, reasonWords(m.Reasons)))
			t.printed("means", m.Text())
		}
	}
	if e.More > 0 {
		t.printed("", fmt.Sprintf("and %d more policies with fewer failures", e.More))
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

// explainedLine says which report it is.
func explainedLine(k keptReport) string {
	line := fmt.Sprintf("of %s (%s), about %s", k.Organization, cmp.Or(k.Submitter, "its domain is not known"), span(k.report.Start, k.report.End))
	if k.ID != 0 {
		line = fmt.Sprintf("%d %s, came %s", k.ID, line, k.At.UTC().Format(time.DateOnly))
	}
	if k.report.ID != "" {
		line += ", its id " + k.report.ID
	}
	return line
}

func policyLine(r tlsrptexplain.Result) string {
	noun := "sessions"
	if r.Successful == 1 {
		noun = "session"
	}
	return fmt.Sprintf("%s of %s: %d %s got in, %d failed", policyWord(r.Policy.Type), domainWord(r.Policy.Domain), r.Successful, noun, r.Failed)
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
