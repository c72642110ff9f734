package main

import (
	"net/netip"
	"strings"
	"time"

	"postern/internal/tlsrptexplain"
)

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
		Version: explainedVersion, Report: k.ID, ReportID: k.report.ID, Submitter: k.Submitter, Trusted: k.Trusted, Verdict: k.Verdict,
		Policies: each(e.Results, policyRow), More: e.More, Seen: seenRow(e.Seen),
		Now: recordsJSON{
			Text: strings.Join(e.Records.Lines(), " "), Asked: e.Records.Unasked == "", Domain: e.Records.Domain,
			Hosts: each(e.Records.Hosts, func(h string) string { return h }), Findings: each(e.Records.Wrong, findingRow),
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
		Runs: each(r.Change.Runs, func(run tlsrptexplain.Run) runJSON {
			return runJSON{run.From.UTC(), run.To.UTC(), string(run.State), run.Reports, run.Successful, run.Failed, false}
		}),
		Results: each(r.Said, func(m tlsrptexplain.Said) resultMeaning {
			return resultMeaning{string(m.Result), m.Sessions, m.Known(), m.Text(), m.Reasons}
		}),
	}
	if len(row.Runs) > 0 {
		row.Runs[r.Change.Here].This = true
	}
	return row
}

func seenRow(s tlsrptexplain.Seen) seenJSON {
	row := seenJSON{
		Text: s.Text(), Asked: s.Unasked == "", Cases: make(map[string]int64),
		Within: countsJSON(s.Within), Unused: s.Unused, After: countsJSON(s.After), Strangers: s.Strangers,
		Senders: each(s.Senders, func(one tlsrptexplain.Sender) seenSenderJSON {
			return seenSenderJSON{one.Address, one.EHLO, one.Name, string(one.How), one.First.UTC(), one.Last.UTC(), countsJSON(one.Counts)}
		}),
	}
	for _, c := range s.Cases {
		row.Cases[c.ID] = c.Sessions
	}
	return row
}
