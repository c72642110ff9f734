package jsonout

import (
	"maps"
	"net/netip"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/ledger"
	"postern/internal/tlslog"
	"postern/internal/tlsrptexplain"
	"postern/interop"
	"postern/tlsrpt"
)

// An Explained is a handshake with its diagnoses, as in docs/json.md.
type Explained struct {
	Failed    bool                  `json:"failed"`
	Cases     []Diagnosis           `json:"cases"`
	Handshake *handshake.Transcript `json:"handshake"`
	Log       *Log                  `json:"log,omitempty"`
}

// A Log is what a log of another program says beside the handshake.
type Log struct {
	Program    string `json:"program"`
	Completed  bool   `json:"completed"`
	Negotiated string `json:"negotiated,omitempty"`
	Error      string `json:"error,omitempty"`
	Truncated  bool   `json:"truncated"`
}

// NewExplained returns the object of a handshake; log is nil unless it was read from a log.
func NewExplained(transcript *handshake.Transcript, failed bool, diagnoses []interop.Diagnosis, log *tlslog.Session) Explained {
	return Explained{failed, each(diagnoses, newDiagnosis), transcript, newLog(log)}
}

func newLog(s *tlslog.Session) *Log {
	if s == nil {
		return nil
	}
	return &Log{s.Program, s.Completed, s.Negotiated, s.Err, s.Truncated}
}

type Diagnosis struct {
	Case         string                `json:"case"`
	Confidence   float64               `json:"confidence"`
	Observations []interop.Observation `json:"observations"`
}

func newDiagnosis(d interop.Diagnosis) Diagnosis {
	return Diagnosis{
		Case: d.Case.ID, Confidence: float64(d.Confidence),
		Observations: notNil(d.Observations),
	}
}

// A ReportExplained is what a report means, as in docs/json.md.
type ReportExplained struct {
	Version    int      `json:"version"`
	Report     int64    `json:"report,omitempty"`
	ReportID   string   `json:"report_id,omitempty"`
	Submitter  string   `json:"submitter,omitempty"`
	Verified   bool     `json:"verified"`
	Verdict    string   `json:"verdict"`
	Policies   []Policy `json:"policies"`
	Omitted    int      `json:"omitted,omitempty"`
	Activity   Activity `json:"activity"`
	Now        Records  `json:"now"`
	Cause      string   `json:"cause"`
	Confidence float64  `json:"confidence"`
	Case       string   `json:"case,omitempty"`
	Next       string   `json:"next"`
	Sources    []string `json:"sources"`
}

// explainedVersion is raised when the meaning of a field changes.
const explainedVersion = 1

type Policy struct {
	PolicyType string   `json:"policy_type"`
	Domain     string   `json:"domain"`
	Successful int64    `json:"successful"`
	Failed     int64    `json:"failed"`
	Detailed   int64    `json:"detailed"`
	Changed    string   `json:"changed"`
	Periods    []Period `json:"periods"`
	Results    []Result `json:"results"`
	Omitted    int      `json:"omitted,omitempty"`
}

type Period struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	State      string    `json:"state"`
	Reports    int       `json:"reports"`
	Unverified int       `json:"unverified,omitempty"`
	Successful int64     `json:"successful"`
	Failed     int64     `json:"failed"`
	Current    bool      `json:"current,omitempty"`
}

type Result struct {
	Result   string   `json:"result"`
	Sessions int64    `json:"sessions"`
	Known    bool     `json:"known"`
	Means    string   `json:"means"`
	Reasons  []string `json:"reasons,omitempty"`
	More     bool     `json:"more_reasons,omitempty"`
}

type Activity struct {
	Text       string           `json:"text"`
	Checked    bool             `json:"checked"`
	Senders    []ActivitySender `json:"senders"`
	Cases      map[string]int64 `json:"cases"`
	During     ledger.Counts    `json:"during"`
	Unused     int64            `json:"unused"`
	After      ledger.Counts    `json:"after"`
	Mismatched int              `json:"mismatched"`
}

type ActivitySender struct {
	Address netip.Addr `json:"address"`
	EHLO    string     `json:"ehlo"`
	Name    string     `json:"name,omitempty"`
	Match   string     `json:"match"`
	First   time.Time  `json:"first"`
	Last    time.Time  `json:"last"`
	ledger.Counts
}

type Records struct {
	Text     string    `json:"text"`
	Checked  bool      `json:"checked"`
	Domain   string    `json:"domain,omitempty"`
	Hosts    []string  `json:"hosts"`
	Findings []Finding `json:"findings"`
}

func NewReportExplained(k ledger.Report, content *tlsrpt.Report, e *tlsrptexplain.Explanation) ReportExplained {
	out := ReportExplained{
		Version: explainedVersion, Report: k.ID, ReportID: content.ID, Submitter: k.Submitter, Verified: k.Verified, Verdict: k.Verdict,
		Policies: each(e.Results, toPolicy), Omitted: e.More, Activity: toActivity(e.Activity),
		Now: Records{
			Text: strings.Join(e.Records.Lines(), " "), Checked: e.Records.NotChecked == "", Domain: e.Records.Domain,
			Hosts: notNil(e.Records.Hosts), Findings: each(e.Records.Problems, toFinding),
		},
		Cause: e.Conclusion.Cause, Confidence: float64(e.Conclusion.Confidence), Next: e.Conclusion.Next, Sources: e.Sources(),
	}
	if e.Conclusion.Case != nil {
		out.Case = e.Conclusion.Case.ID
	}
	return out
}

func toPolicy(r tlsrptexplain.Result) Policy {
	out := Policy{
		PolicyType: string(r.Policy.Type), Domain: r.Policy.Domain, Successful: r.Successful, Failed: r.Failed, Detailed: r.Detailed, Changed: r.Change.Text(),
		Periods: each(r.Change.Periods, func(p tlsrptexplain.Period) Period {
			return Period{p.From.UTC(), p.To.UTC(), string(p.State), p.Reports, p.Unverified, p.Successful, p.Failed, false}
		}),
		Results: each(r.Counts, func(c tlsrptexplain.ResultCount) Result {
			return Result{string(c.Result), c.Sessions, c.Known(), c.Text(), c.Reasons, c.MoreReasons}
		}),
		Omitted: r.MoreCounts,
	}
	if len(out.Periods) > 0 {
		out.Periods[r.Change.Current].Current = true
	}
	return out
}

func toActivity(a tlsrptexplain.Activity) Activity {
	out := Activity{
		Text: a.Text(), Checked: a.NotChecked == "", Cases: make(map[string]int64),
		During: a.During, Unused: a.Unused, After: a.After, Mismatched: a.Mismatched,
		Senders: each(a.Senders, func(s tlsrptexplain.Sender) ActivitySender {
			return ActivitySender{s.Address, s.EHLO, s.Name, string(s.Match), s.First.UTC(), s.Last.UTC(), s.Counts}
		}),
	}
	maps.Copy(out.Cases, a.Cases)
	return out
}

// A Case is a case, as in docs/json.md.
type Case struct {
	ID          string           `json:"id"`
	Title       string           `json:"title"`
	Clients     string           `json:"clients"`
	Since       string           `json:"since"`
	Status      string           `json:"status"`
	Explanation string           `json:"explanation"`
	Remedies    []interop.Advice `json:"remedies"`
	ForSender   string           `json:"for_sender"`
	Sources     []interop.Source `json:"sources"`
}

func NewCase(c *interop.Case) Case {
	return Case{
		ID: c.ID, Title: c.Title, Clients: c.Clients, Since: c.Since,
		Status: strings.ToLower(c.Status.String()), Explanation: c.Explanation, Sources: c.Sources,
		ForSender: c.Remedy.Sender,
		Remedies:  append([]interop.Advice{{Software: "Postern", Action: c.Remedy.Postern}}, c.Remedy.OtherSoftware...),
	}
}
