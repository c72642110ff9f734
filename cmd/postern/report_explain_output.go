package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/internal/tlsrptexplain"
	"postern/tlsrpt"
)

// printReportExplanation prints what a report means. Any text may come from strangers.
func printReportExplanation(ui terminal.UI, k parsedReport, e *tlsrptexplain.Explanation) {
	print := func(label, text string) { ui.Paragraph(label, safetext.Printable(text)) }
	print("report", explainedReport(k))
	print("verdict", verdict(k.Report))
	for _, r := range e.Results {
		fmt.Fprintln(ui.Out)
		print("policy", fmt.Sprintf("%s of %s: %s succeeded, %d failed", policyName(r.Policy.Type),
			cmp.Or(r.Policy.Domain, "an unnamed domain"), plural(r.Successful, "session", "sessions"), r.Failed))
		print("changed", r.Change.Text())
		for _, c := range r.Counts {
			print("result", fmt.Sprintf("%d× %s%s", c.Sessions, c.Result, reasonText(c.Reasons)))
			print("means", c.Text())
		}
	}
	if e.More > 0 {
		print("", fmt.Sprintf("and %d more policies with fewer failures", e.More))
	}
	fmt.Fprintln(ui.Out)
	print("activity", e.Activity.Text())
	for _, line := range e.Records.Lines() {
		print("now", line)
	}
	fmt.Fprintln(ui.Out)
	print("cause", e.Conclusion.Cause)
	if e.Conclusion.Confidence > 0 {
		print("confidence", e.Conclusion.Confidence.String())
	}
	print("next", e.Conclusion.Next)
	for _, url := range e.Sources() {
		fmt.Fprintf(ui.Out, "%-*s%s\n", terminal.Margin, "source", url)
	}
}

// explainedReport says which report it is.
func explainedReport(k parsedReport) string {
	line := fmt.Sprintf("from %s (%s), period %s", k.Organization, cmp.Or(k.Submitter, "unknown domain"), span(k.report.Start, k.report.End))
	if k.ID != 0 {
		line = fmt.Sprintf("%d %s, received %s", k.ID, line, k.At.UTC().Format(time.DateOnly))
	}
	if k.report.ID != "" {
		line += ", ID " + k.report.ID
	}
	return line
}

// policyName is what operators call a type of policy.
func policyName(t tlsrpt.PolicyType) string {
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

func reasonText(reasons []string) string {
	var quoted []string
	for _, r := range reasons {
		quoted = append(quoted, fmt.Sprintf("%.80q", r))
	}
	if quoted == nil {
		return ""
	}
	return ", in the sender's words " + strings.Join(quoted, ", ")
}

// A reportExplainedJSON is what a report means, as in docs/json.md.
type reportExplainedJSON struct {
	Version    int          `json:"version"`
	Report     int64        `json:"report,omitempty"`
	ReportID   string       `json:"report_id,omitempty"`
	Submitter  string       `json:"submitter,omitempty"`
	Verified   bool         `json:"verified"`
	Verdict    string       `json:"verdict"`
	Policies   []policyJSON `json:"policies"`
	Omitted    int          `json:"omitted,omitempty"`
	Activity   activityJSON `json:"activity"`
	Now        recordsJSON  `json:"now"`
	Cause      string       `json:"cause"`
	Confidence float64      `json:"confidence"`
	Case       string       `json:"case,omitempty"`
	Next       string       `json:"next"`
	Sources    []string     `json:"sources"`
}

// explainedVersion is raised when the meaning of a field changes.
const explainedVersion = 1

type policyJSON struct {
	PolicyType string       `json:"policy_type"`
	Domain     string       `json:"domain"`
	Successful int64        `json:"successful"`
	Failed     int64        `json:"failed"`
	Changed    string       `json:"changed"`
	Periods    []periodJSON `json:"periods"`
	Results    []resultJSON `json:"results"`
}

type periodJSON struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	State      string    `json:"state"`
	Reports    int       `json:"reports"`
	Successful int64     `json:"successful"`
	Failed     int64     `json:"failed"`
	Current    bool      `json:"current,omitempty"`
}

type resultJSON struct {
	Result   string   `json:"result"`
	Sessions int64    `json:"sessions"`
	Known    bool     `json:"known"`
	Means    string   `json:"means"`
	Reasons  []string `json:"reasons,omitempty"`
}

type activityJSON struct {
	Text       string               `json:"text"`
	Checked    bool                 `json:"checked"`
	Senders    []activitySenderJSON `json:"senders"`
	Cases      map[string]int64     `json:"cases"`
	During     countsJSON           `json:"during"`
	Unused     int64                `json:"unused"`
	After      countsJSON           `json:"after"`
	Mismatched int                  `json:"mismatched"`
}

type activitySenderJSON struct {
	Address netip.Addr `json:"address"`
	EHLO    string     `json:"ehlo"`
	Name    string     `json:"name,omitempty"`
	Match   string     `json:"match"`
	First   time.Time  `json:"first"`
	Last    time.Time  `json:"last"`
	countsJSON
}

type recordsJSON struct {
	Text     string        `json:"text"`
	Checked  bool          `json:"checked"`
	Domain   string        `json:"domain,omitempty"`
	Hosts    []string      `json:"hosts"`
	Findings []findingJSON `json:"findings"`
}

func toReportExplainedJSON(k parsedReport, e *tlsrptexplain.Explanation) reportExplainedJSON {
	out := reportExplainedJSON{
		Version: explainedVersion, Report: k.ID, ReportID: k.report.ID, Submitter: k.Submitter, Verified: k.Verified, Verdict: k.Verdict,
		Policies: each(e.Results, toPolicyJSON), Omitted: e.More, Activity: toActivityJSON(e.Activity),
		Now: recordsJSON{
			Text: strings.Join(e.Records.Lines(), " "), Checked: e.Records.NotChecked == "", Domain: e.Records.Domain,
			Hosts: each(e.Records.Hosts, func(h string) string { return h }), Findings: each(e.Records.Problems, toFindingJSON),
		},
		Cause: e.Conclusion.Cause, Confidence: float64(e.Conclusion.Confidence), Next: e.Conclusion.Next, Sources: e.Sources(),
	}
	if e.Conclusion.Case != nil {
		out.Case = e.Conclusion.Case.ID
	}
	return out
}

func toPolicyJSON(r tlsrptexplain.Result) policyJSON {
	out := policyJSON{
		PolicyType: string(r.Policy.Type), Domain: r.Policy.Domain, Successful: r.Successful, Failed: r.Failed, Changed: r.Change.Text(),
		Periods: each(r.Change.Periods, func(p tlsrptexplain.Period) periodJSON {
			return periodJSON{p.From.UTC(), p.To.UTC(), string(p.State), p.Reports, p.Successful, p.Failed, false}
		}),
		Results: each(r.Counts, func(c tlsrptexplain.ResultCount) resultJSON {
			return resultJSON{string(c.Result), c.Sessions, c.Known(), c.Text(), c.Reasons}
		}),
	}
	if len(out.Periods) > 0 {
		out.Periods[r.Change.Current].Current = true
	}
	return out
}

func toActivityJSON(a tlsrptexplain.Activity) activityJSON {
	out := activityJSON{
		Text: a.Text(), Checked: a.NotChecked == "", Cases: make(map[string]int64),
		During: countsJSON(a.During), Unused: a.Unused, After: countsJSON(a.After), Mismatched: a.Mismatched,
		Senders: each(a.Senders, func(s tlsrptexplain.Sender) activitySenderJSON {
			return activitySenderJSON{s.Address, s.EHLO, s.Name, string(s.Match), s.First.UTC(), s.Last.UTC(), countsJSON(s.Counts)}
		}),
	}
	maps.Copy(out.Cases, a.Cases)
	return out
}
