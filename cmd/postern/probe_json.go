package main

import (
	"time"

	"postern/handshake"
	"postern/internal/probe"
	"postern/interop"
)

// probeVersion is raised when the meaning of a field changes.
const probeVersion = 1

// A probedJSON is a target as docs/json.md tells it.
type probedJSON struct {
	Version  int             `json:"version"`
	Target   string          `json:"target"`
	Error    string          `json:"error,omitempty"`
	Domain   string          `json:"domain,omitempty"`
	Time     *time.Time      `json:"time,omitempty"`
	Took     float64         `json:"took,omitempty"`
	Severity string          `json:"severity"`
	Findings []findingJSON   `json:"findings"`
	Hosts    []probedHostRow `json:"hosts"`
}

type probedHostRow struct {
	Host       string             `json:"host"`
	Preference uint16             `json:"preference"`
	Addresses  []probedAddressRow `json:"addresses"`
}

type probedAddressRow struct {
	Address    string        `json:"address"`
	Software   string        `json:"software,omitempty"`
	Release    string        `json:"release,omitempty"`
	Confidence float64       `json:"confidence,omitempty"`
	Clues      []string      `json:"clues,omitempty"`
	Findings   []findingJSON `json:"findings"`
	Senders    []visitJSON   `json:"senders"`
}

type visitJSON struct {
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

func probedRow(target string, r probed) probedJSON {
	row := probedJSON{Version: probeVersion, Target: target, Severity: probe.Unclear.String(), Findings: []findingJSON{}, Hosts: []probedHostRow{}}
	if r.err != nil {
		row.Error = r.err.Error()
		return row
	}
	start := r.report.Start.UTC()
	row.Domain, row.Time, row.Took = r.report.Domain, &start, r.report.Duration.Seconds()
	row.Severity, row.Findings = r.report.Severity().String(), each(r.report.Findings, findingRow)
	row.Hosts = each(r.report.Hosts, func(h *probe.Host) probedHostRow {
		return probedHostRow{h.Name, h.Preference, each(h.Addresses, addressRow)}
	})
	return row
}

func addressRow(a *probe.Address) probedAddressRow {
	return probedAddressRow{
		a.Addr.String(), a.Software.Name, a.Software.Version, float64(a.Software.Confidence), a.Software.Clues,
		each(a.Findings, findingRow), each(a.Runs, visitRow),
	}
}

func visitRow(v probe.Run) visitJSON {
	return visitJSON{v.Persona.ID, v.Persona.Case, v.Persona.Does, v.Outcome.String(), v.Reason(), v.Transcript}
}

func findingRow(f probe.Finding) findingJSON {
	row := findingJSON{ID: f.ID, Severity: f.Severity.String(), Title: f.Title, Evidence: f.Evidence, Sources: f.Sources}
	if f.Case != nil {
		row.Case = f.Case.ID
	}
	row.Remedies = each(f.Advice, func(a interop.Advice) remedyJSON { return remedyJSON(a) })
	return row
}
