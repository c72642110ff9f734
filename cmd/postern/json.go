package main

import (
	"encoding/json"
	"maps"
	"net/netip"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/dnsrecords"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/probe"
	"postern/internal/tlslog"
	"postern/internal/tlsrptexplain"
	"postern/interop"
)

// The objects that --json prints, command by command. docs/json.md describes them, and a
// test checks that it has each field.

// A handshakeJSON is a handshake in the ledger, as in docs/json.md.
type handshakeJSON struct {
	Session string       `json:"session"`
	Time    time.Time    `json:"time"`
	Address netip.Addr   `json:"address"`
	Network netip.Prefix `json:"network"`
	EHLO    string       `json:"ehlo,omitempty"`
	JA4     string       `json:"ja4,omitempty"`
	Probe   bool         `json:"probe,omitempty"`
	Outcome string       `json:"outcome"`
	Mode    string       `json:"mode,omitempty"`
	negotiatedJSON
	After     string             `json:"after,omitempty"`
	Stopped   string             `json:"stopped,omitempty"`
	Cases     []ledger.Diagnosis `json:"cases,omitempty"`
	Revised   string             `json:"revised,omitempty"`
	Next      string             `json:"next,omitempty"`
	Handshake json.RawMessage    `json:"handshake,omitempty"`
}

// A negotiatedJSON has the names of what was negotiated.
type negotiatedJSON struct {
	Version string `json:"version,omitempty"`
	Suite   string `json:"suite,omitempty"`
	Group   string `json:"group,omitempty"`
}

// negotiated names TLS parameters; 0 means none.
func negotiated(version handshake.Version, suite handshake.Suite, group handshake.Group) (n negotiatedJSON) {
	if version != 0 {
		n.Version, n.Suite = version.String(), suite.String()
	}
	if group != 0 {
		n.Group = group.String()
	}
	return n
}

func toHandshakeJSON(h ledger.Handshake) handshakeJSON {
	out := handshakeJSON{
		Session: h.Session, Time: h.At.UTC(), Address: h.Address, Network: h.Network,
		EHLO: h.EHLO, JA4: h.Fingerprint, Probe: h.Probe, Outcome: h.Outcome.String(),
		negotiatedJSON: negotiated(h.Version, h.Suite, h.Group),
		After:          h.After, Stopped: h.Stopped, Cases: h.Diagnoses, Revised: h.Revised, Next: h.Next, Handshake: h.Transcript,
	}
	if h.Fingerprint != "" {
		out.Mode = h.Mode.String()
	}
	return out
}

// A senderHistoryJSON is what postern senders show --json prints.
type senderHistoryJSON struct {
	Senders   []ledger.Sender     `json:"senders"`
	Days      []dayJSON           `json:"days"`
	Pins      []fallback.Pin      `json:"pins"`
	Decisions []fallback.Decision `json:"decisions"`
	Failed    []handshakeJSON     `json:"failed"`
	Refusals  []refusalJSON       `json:"refusals"`
}

type dayJSON struct {
	Day string `json:"day"`
	negotiatedJSON
	ledger.Counts
}

func toSenderHistoryJSON(s senderHistory) senderHistoryJSON {
	return senderHistoryJSON{notNil(s.senders), each(s.days, toDayJSON), notNil(s.pins), notNil(s.decisions), each(s.failed, toHandshakeJSON), each(s.refusals, toRefusalJSON)}
}

func toDayJSON(d ledger.Day) dayJSON {
	return dayJSON{d.Day.Format(time.DateOnly), negotiated(d.Version, d.Suite, d.Group), d.Counts}
}

// probeVersion is raised when the meaning of a field changes.
const probeVersion = 1

// A refusalJSON is a refusal, as in docs/json.md.
type refusalJSON struct {
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Network  string    `json:"network,omitempty"`
	EHLO     string    `json:"ehlo,omitempty"`
	Command  string    `json:"command,omitempty"`
	From     string    `json:"from,omitempty"`
	To       string    `json:"to,omitempty"`
	Reply    string    `json:"reply"`
	By       string    `json:"by,omitempty"`
	Count    int64     `json:"count"`
	Session  string    `json:"session,omitempty"`
	Accepted time.Time `json:"accepted,omitzero"`
}

func toRefusalJSON(r ledger.Refusal) refusalJSON {
	out := refusalJSON{
		First: r.First.UTC(), Last: r.Last.UTC(), EHLO: r.EHLO, Command: r.Command, From: r.From, To: r.To,
		Reply: r.Reply, Count: r.Count, Session: r.Session, Accepted: r.Accepted,
	}
	if r.Network.IsValid() {
		out.Network = r.Network.String()
	}
	switch {
	case r.Command == "":
	case r.Remote:
		out.By = "next hop"
	default:
		out.By = "postern"
	}
	return out
}

// A probedJSON is the result for one target, as in docs/json.md.
type probedJSON struct {
	Version  int           `json:"version"`
	Target   string        `json:"target"`
	Error    string        `json:"error,omitempty"`
	Domain   string        `json:"domain,omitempty"`
	Time     *time.Time    `json:"time,omitempty"`
	Took     float64       `json:"took,omitempty"`
	Severity string        `json:"severity"`
	Findings []findingJSON `json:"findings"`
	Hosts    []hostJSON    `json:"hosts"`
}

type hostJSON struct {
	Host       string        `json:"host"`
	Preference uint16        `json:"preference"`
	Addresses  []addressJSON `json:"addresses"`
}

type addressJSON struct {
	Address    string          `json:"address"`
	Software   string          `json:"software,omitempty"`
	Release    string          `json:"release,omitempty"`
	Confidence float64         `json:"confidence,omitempty"`
	Clues      []string        `json:"clues,omitempty"`
	Findings   []findingJSON   `json:"findings"`
	Senders    []senderRunJSON `json:"senders"`
}

type senderRunJSON struct {
	ID        string                `json:"id"`
	Case      string                `json:"case,omitempty"`
	Does      string                `json:"does"`
	Outcome   string                `json:"outcome"`
	Why       string                `json:"why,omitempty"`
	Handshake *handshake.Transcript `json:"handshake,omitempty"`
}

type findingJSON struct {
	ID       string           `json:"id"`
	Severity string           `json:"severity"`
	Accepted string           `json:"accepted,omitempty"`
	Title    string           `json:"title"`
	Case     string           `json:"case,omitempty"`
	Evidence []string         `json:"evidence,omitempty"`
	Remedies []interop.Advice `json:"remedies,omitempty"`
	Sources  []string         `json:"sources,omitempty"`
}

func toProbedJSON(target string, r probed) probedJSON {
	out := probedJSON{Version: probeVersion, Target: target, Severity: probe.Unclear.String(), Findings: []findingJSON{}, Hosts: []hostJSON{}}
	if r.err != nil {
		out.Error = r.err.Error()
		return out
	}
	start := r.report.Start.UTC()
	out.Domain, out.Time, out.Took = r.report.Domain, &start, r.report.Duration.Seconds()
	out.Severity, out.Findings = r.report.Severity().String(), each(r.report.Findings, toFindingJSON)
	out.Hosts = each(r.report.Hosts, func(h *probe.Host) hostJSON {
		return hostJSON{h.Name, h.Preference, each(h.Addresses, toAddressJSON)}
	})
	return out
}

func toAddressJSON(a *probe.Address) addressJSON {
	return addressJSON{
		a.Addr.String(), a.Software.Name, a.Software.Version, float64(a.Software.Confidence), a.Software.Clues,
		each(a.Findings, toFindingJSON), each(a.Runs, toSenderRunJSON),
	}
}

func toSenderRunJSON(v probe.Run) senderRunJSON {
	return senderRunJSON{v.Persona.ID, v.Persona.Case, v.Persona.Does, v.Outcome.String(), v.Reason(), v.Transcript}
}

func toFindingJSON(f probe.Finding) findingJSON {
	out := findingJSON{ID: f.ID, Severity: f.Severity.String(), Title: f.Title, Evidence: f.Evidence, Remedies: f.Advice, Sources: f.Sources}
	if f.Case != nil {
		out.Case = f.Case.ID
	}
	if f.Accepted > 0 {
		out.Accepted = f.Accepted.String()
	}
	return out
}

// A zoneJSON is what postern dns --json prints.
type zoneJSON struct {
	Domain  string              `json:"domain"`
	Host    string              `json:"host"`
	Records []dnsrecords.Result `json:"records"`
	State   dnsrecords.State    `json:"state,omitempty"`
	Step    dnsrecords.Step     `json:"step,omitempty"`
	Until   *time.Time          `json:"until,omitempty"`
}

func comparisonJSON(w dnsrecords.Config, c dnsrecords.Comparison) zoneJSON {
	out := zoneJSON{Domain: w.Domain, Host: w.Host, State: c.State(), Step: c.Rollover.Step, Records: c.Results}
	if c.Rollover.Step == dnsrecords.Wait {
		until := c.Rollover.Until.UTC()
		out.Until = &until
	}
	return out
}

// An explainedJSON is a handshake with its diagnoses, as in docs/json.md.
type explainedJSON struct {
	Failed    bool                  `json:"failed"`
	Cases     []diagnosisJSON       `json:"cases"`
	Handshake *handshake.Transcript `json:"handshake"`
	Log       *logJSON              `json:"log,omitempty"`
}

// A logJSON is what a log of another program says beside the handshake.
type logJSON struct {
	Program    string `json:"program"`
	Completed  bool   `json:"completed"`
	Negotiated string `json:"negotiated,omitempty"`
	Error      string `json:"error,omitempty"`
	Truncated  bool   `json:"truncated"`
}

func toLogJSON(s *tlslog.Session) *logJSON {
	if s == nil {
		return nil
	}
	return &logJSON{s.Program, s.Completed, s.Negotiated, s.Err, s.Truncated}
}

type diagnosisJSON struct {
	Case         string                `json:"case"`
	Confidence   float64               `json:"confidence"`
	Observations []interop.Observation `json:"observations"`
}

func toDiagnosisJSON(d interop.Diagnosis) diagnosisJSON {
	return diagnosisJSON{
		Case: d.Case.ID, Confidence: float64(d.Confidence),
		Observations: append([]interop.Observation{}, d.Observations...),
	}
}

// A reportJSON is a report as in docs/json.md.
type reportJSON struct {
	Report       int64           `json:"report,omitempty"`
	Time         time.Time       `json:"time"`
	Via          string          `json:"via"`
	Session      string          `json:"session,omitempty"`
	Address      netip.Addr      `json:"address,omitzero"`
	Verified     bool            `json:"verified"`
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
	Detailed     int64           `json:"detailed"`
	Versions     int64           `json:"versions"`
	Warnings     []string        `json:"warnings"`
	Content      json.RawMessage `json:"content,omitempty"`
}

func toReportJSON(r ledger.Report, sessions tlsrptexplain.Totals) reportJSON {
	return reportJSON{
		r.ID, r.At.UTC(), string(r.Via), r.Session, r.Address, r.Verified, r.Signer, r.Verdict, r.Submitter, r.Organization, r.ReportID,
		r.Start, r.End, r.Domains, sessions.Successful, sessions.Failed, sessions.Detailed, r.Versions, r.Warnings, r.Content,
	}
}

// An addedJSON is the result for one file or mail, as in docs/json.md.
type addedJSON struct {
	Name      string `json:"name"`
	Report    int64  `json:"report,omitempty"`
	New       bool   `json:"new"`
	Confirmed bool   `json:"confirmed"`
	Verified  bool   `json:"verified"`
	Verdict   string `json:"verdict,omitempty"`
	Error     string `json:"error,omitempty"`
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
	Detailed   int64        `json:"detailed"`
	Changed    string       `json:"changed"`
	Periods    []periodJSON `json:"periods"`
	Results    []resultJSON `json:"results"`
	Omitted    int          `json:"omitted,omitempty"`
}

type periodJSON struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	State      string    `json:"state"`
	Reports    int       `json:"reports"`
	Unverified int       `json:"unverified,omitempty"`
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
	More     bool     `json:"more_reasons,omitempty"`
}

type activityJSON struct {
	Text       string               `json:"text"`
	Checked    bool                 `json:"checked"`
	Senders    []activitySenderJSON `json:"senders"`
	Cases      map[string]int64     `json:"cases"`
	During     ledger.Counts        `json:"during"`
	Unused     int64                `json:"unused"`
	After      ledger.Counts        `json:"after"`
	Mismatched int                  `json:"mismatched"`
}

type activitySenderJSON struct {
	Address netip.Addr `json:"address"`
	EHLO    string     `json:"ehlo"`
	Name    string     `json:"name,omitempty"`
	Match   string     `json:"match"`
	First   time.Time  `json:"first"`
	Last    time.Time  `json:"last"`
	ledger.Counts
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
		PolicyType: string(r.Policy.Type), Domain: r.Policy.Domain, Successful: r.Successful, Failed: r.Failed, Detailed: r.Detailed, Changed: r.Change.Text(),
		Periods: each(r.Change.Periods, func(p tlsrptexplain.Period) periodJSON {
			return periodJSON{p.From.UTC(), p.To.UTC(), string(p.State), p.Reports, p.Unverified, p.Successful, p.Failed, false}
		}),
		Results: each(r.Counts, func(c tlsrptexplain.ResultCount) resultJSON {
			return resultJSON{string(c.Result), c.Sessions, c.Known(), c.Text(), c.Reasons, c.MoreReasons}
		}),
		Omitted: r.MoreCounts,
	}
	if len(out.Periods) > 0 {
		out.Periods[r.Change.Current].Current = true
	}
	return out
}

func toActivityJSON(a tlsrptexplain.Activity) activityJSON {
	out := activityJSON{
		Text: a.Text(), Checked: a.NotChecked == "", Cases: make(map[string]int64),
		During: a.During, Unused: a.Unused, After: a.After, Mismatched: a.Mismatched,
		Senders: each(a.Senders, func(s tlsrptexplain.Sender) activitySenderJSON {
			return activitySenderJSON{s.Address, s.EHLO, s.Name, string(s.Match), s.First.UTC(), s.Last.UTC(), s.Counts}
		}),
	}
	maps.Copy(out.Cases, a.Cases)
	return out
}

// A caseJSON is a case, as in docs/json.md.
type caseJSON struct {
	ID          string           `json:"id"`
	Title       string           `json:"title"`
	Clients     string           `json:"clients"`
	Since       string           `json:"since"`
	Status      string           `json:"status"`
	Explanation string           `json:"explanation"`
	Remedies    []interop.Advice `json:"remedies"`
	Sources     []interop.Source `json:"sources"`
}

func toCaseJSON(c *interop.Case) caseJSON {
	return caseJSON{
		ID: c.ID, Title: c.Title, Clients: c.Clients, Since: c.Since,
		Status: strings.ToLower(c.Status.String()), Explanation: c.Explanation, Sources: c.Sources,
		Remedies: append([]interop.Advice{{Software: "Postern", Action: c.Remedy.Postern}}, c.Remedy.OtherSoftware...),
	}
}
