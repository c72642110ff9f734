package main

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/internal/tlsrptexplain"
	"postern/tlsrpt"
)

// reportExplained tells people what a report means.
func printReportExplanation(t terminal.UI, k keptReport, e *tlsrptexplain.Explanation) {
	printParagraph(t, "report", explainedLine(k))
	printParagraph(t, "verdict", verdictWords(k.Report))
	for _, r := range e.Results {
		fmt.Fprintln(t.Out)
		printParagraph(t, "policy", policyLine(r))
		printParagraph(t, "changed", r.Change.Text())
		for _, m := range r.Counts {
			printParagraph(t, "said", fmt.Sprintf("%d× %s%s", m.Sessions, m.Result, reasonWords(m.Reasons)))
			printParagraph(t, "means", m.Text())
		}
	}
	if e.More > 0 {
		printParagraph(t, "", fmt.Sprintf("and %d more policies with fewer failures", e.More))
	}
	fmt.Fprintln(t.Out)
	printParagraph(t, "seen", e.Activity.Text())
	for _, line := range e.Records.Lines() {
		printParagraph(t, "now", line)
	}
	fmt.Fprintln(t.Out)
	printParagraph(t, "cause", e.Conclusion.Cause)
	if e.Conclusion.Confidence > 0 {
		printParagraph(t, "sure", e.Conclusion.Confidence.String())
	}
	printParagraph(t, "next", e.Conclusion.Next)
	for _, url := range e.Sources() {
		fmt.Fprintf(t.Out, "%-*s%s\n", terminal.Margin, "source", url)
	}
}

// printed is a paragraph in which strangers' words may stand.
func printParagraph(t terminal.UI, label, text string) { t.Paragraph(label, safetext.Printable(text)) }

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

// A reportExplainedJSON is what a report means, as docs/json.md tells it.
type reportExplainedJSON struct {
	Version    int                `json:"version"`
	Report     int64              `json:"report,omitempty"`
	ReportID   string             `json:"report_id,omitempty"`
	Submitter  string             `json:"submitter,omitempty"`
	Trusted    bool               `json:"trusted"`
	Verdict    string             `json:"verdict"`
	Policies   []policyMeaningRow `json:"policies"`
	More       int                `json:"more,omitempty"`
	Seen       seenJSON           `json:"seen"`
	Now        recordsJSON        `json:"now"`
	Cause      string             `json:"cause"`
	Confidence float64            `json:"confidence"`
	Case       string             `json:"case,omitempty"`
	Next       string             `json:"next"`
	Sources    []string           `json:"sources"`
}

// explainedVersion is raised when the meaning of a field changes.
const explainedVersion = 1

type policyMeaningRow struct {
	PolicyType string          `json:"policy_type"`
	Domain     string          `json:"domain"`
	Successful int64           `json:"successful"`
	Failed     int64           `json:"failed"`
	Changed    string          `json:"changed"`
	Runs       []runJSON       `json:"runs"`
	Results    []resultMeaning `json:"results"`
}

type runJSON struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	State      string    `json:"state"`
	Reports    int       `json:"reports"`
	Successful int64     `json:"successful"`
	Failed     int64     `json:"failed"`
	This       bool      `json:"this,omitempty"`
}

type resultMeaning struct {
	Result   string   `json:"result"`
	Sessions int64    `json:"sessions"`
	Known    bool     `json:"known"`
	Means    string   `json:"means"`
	Reasons  []string `json:"reasons,omitempty"`
}

type seenJSON struct {
	Text      string           `json:"text"`
	Asked     bool             `json:"asked"`
	Senders   []seenSenderJSON `json:"senders"`
	Cases     map[string]int64 `json:"cases"`
	Within    countsJSON       `json:"within"`
	Unused    int64            `json:"unused"`
	After     countsJSON       `json:"after"`
	Strangers int              `json:"strangers"`
}

type seenSenderJSON struct {
	Address netip.Addr `json:"address"`
	EHLO    string     `json:"ehlo"`
	Name    string     `json:"name,omitempty"`
	How     string     `json:"how"`
	First   time.Time  `json:"first"`
	Last    time.Time  `json:"last"`
	countsJSON
}

type recordsJSON struct {
	Text     string        `json:"text"`
	Asked    bool          `json:"asked"`
	Domain   string        `json:"domain,omitempty"`
	Hosts    []string      `json:"hosts"`
	Findings []findingJSON `json:"findings"`
}

func reportExplainedRow(k keptReport, e *tlsrptexplain.Explanation) reportExplainedJSON {
	row := reportExplainedJSON{
		Version: explainedVersion, Report: k.ID, ReportID: k.report.ID, Submitter: k.Submitter, Trusted: k.Verified, Verdict: k.Verdict,
		Policies: each(e.Results, policyRow), More: e.More, Seen: seenRow(e.Activity),
		Now: recordsJSON{
			Text: strings.Join(e.Records.Lines(), " "), Asked: e.Records.NotChecked == "", Domain: e.Records.Domain,
			Hosts: each(e.Records.Hosts, func(h string) string { return h }), Findings: each(e.Records.Problems, findingRow),
		},
		Cause: e.Conclusion.Cause, Confidence: float64(e.Conclusion.Confidence), Next: e.Conclusion.Next, Sources: e.Sources(),
	}
	if e.Conclusion.Case != nil {
		row.Case = e.Conclusion.Case.ID
	}
	return row
}

func policyRow(r tlsrptexplain.Result) policyMeaningRow {
	row := policyMeaningRow{
		PolicyType: string(r.Policy.Type), Domain: r.Policy.Domain, Successful: r.Successful, Failed: r.Failed, Changed: r.Change.Text(),
		Runs: each(r.Change.Periods, func(run tlsrptexplain.Period) runJSON {
			return runJSON{run.From.UTC(), run.To.UTC(), string(run.State), run.Reports, run.Successful, run.Failed, false}
		}),
		Results: each(r.Counts, func(m tlsrptexplain.ResultCount) resultMeaning {
			return resultMeaning{string(m.Result), m.Sessions, m.Known(), m.Text(), m.Reasons}
		}),
	}
	if len(row.Runs) > 0 {
		row.Runs[r.Change.Current].This = true
	}
	return row
}

func seenRow(s tlsrptexplain.Activity) seenJSON {
	row := seenJSON{
		Text: s.Text(), Asked: s.NotChecked == "", Cases: make(map[string]int64),
		Within: countsJSON(s.During), Unused: s.Unused, After: countsJSON(s.After), Strangers: s.Mismatched,
		Senders: each(s.Senders, func(one tlsrptexplain.Sender) seenSenderJSON {
			return seenSenderJSON{one.Address, one.EHLO, one.Name, string(one.Match), one.First.UTC(), one.Last.UTC(), countsJSON(one.Counts)}
		}),
	}
	for _, c := range s.Cases {
		row.Cases[c.ID] = c.Sessions
	}
	return row
}
