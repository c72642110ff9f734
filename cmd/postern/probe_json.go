package main

import (
	"time"

	"postern/handshake"
	"postern/internal/probe"
	"postern/interop"
)

// probeVersion is raised when the meaning of a field changes.
const probeVersion = 1

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
	ID       string       `json:"id"`
	Severity string       `json:"severity"`
	Title    string       `json:"title"`
	Case     string       `json:"case,omitempty"`
	Evidence []string     `json:"evidence,omitempty"`
	Remedies []remedyJSON `json:"remedies,omitempty"`
	Sources  []string     `json:"sources,omitempty"`
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
	out := findingJSON{ID: f.ID, Severity: f.Severity.String(), Title: f.Title, Evidence: f.Evidence, Sources: f.Sources}
	if f.Case != nil {
		out.Case = f.Case.ID
	}
	out.Remedies = each(f.Advice, func(a interop.Advice) remedyJSON { return remedyJSON(a) })
	return out
}
