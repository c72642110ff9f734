package jsonout

import (
	"slices"
	"time"

	"postern/handshake"
	"postern/internal/dnsrecords"
	"postern/internal/probe"
	"postern/interop"
)

// probeVersion is raised when the meaning of a field changes.
const probeVersion = 1

// A Probed is the result for one target, as in docs/json.md.
type Probed struct {
	Version  int        `json:"version"`
	Target   string     `json:"target"`
	Error    string     `json:"error,omitempty"`
	Domain   string     `json:"domain,omitempty"`
	Time     *time.Time `json:"time,omitempty"`
	Took     float64    `json:"took,omitempty"`
	Severity string     `json:"severity"`
	Findings []Finding  `json:"findings"`
	Hosts    []Host     `json:"hosts"`
}

type Host struct {
	Host       string    `json:"host"`
	Preference uint16    `json:"preference"`
	Addresses  []Address `json:"addresses"`
}

type Address struct {
	Address    string      `json:"address"`
	Software   string      `json:"software,omitempty"`
	Release    string      `json:"release,omitempty"`
	Confidence float64     `json:"confidence,omitempty"`
	Clues      []string    `json:"clues,omitempty"`
	Findings   []Finding   `json:"findings"`
	Senders    []SenderRun `json:"senders"`
}

type SenderRun struct {
	ID        string `json:"id"`
	Case      string `json:"case,omitempty"`
	Does      string `json:"does"`
	Outcome   string `json:"outcome"`
	Why       string `json:"why,omitempty"`
	Plaintext bool   `json:"plaintext,omitempty"`
	Negotiated
	Resumption string                `json:"resumption,omitempty"`
	JA4        string                `json:"ja4,omitempty"`
	Handshake  *handshake.Transcript `json:"handshake,omitempty"`
}

type Finding struct {
	ID       string           `json:"id"`
	Severity string           `json:"severity"`
	Accepted string           `json:"accepted,omitempty"`
	Title    string           `json:"title"`
	Case     string           `json:"case,omitempty"`
	Evidence []string         `json:"evidence,omitempty"`
	Remedies []interop.Advice `json:"remedies,omitempty"`
	Sources  []string         `json:"sources,omitempty"`
}

func NewProbed(target string, r *probe.Report, err error) Probed {
	out := Probed{Version: probeVersion, Target: target, Severity: probe.Unclear.String(), Findings: []Finding{}, Hosts: []Host{}}
	if err != nil {
		out.Error = err.Error()
		return out
	}
	start := r.Start.UTC()
	out.Domain, out.Time, out.Took = r.Domain, &start, r.Duration.Seconds()
	out.Severity, out.Findings = r.Severity().String(), each(r.Findings, toFinding)
	out.Hosts = each(r.Hosts, func(h *probe.Host) Host {
		return Host{h.Name, h.Preference, each(h.Addresses, toAddress)}
	})
	return out
}

// AllFindings returns the findings of the target and of all addresses.
func (p Probed) AllFindings() []Finding {
	all := slices.Clone(p.Findings)
	for _, host := range p.Hosts {
		for _, address := range host.Addresses {
			all = append(all, address.Findings...)
		}
	}
	return all
}

func toAddress(a *probe.Address) Address {
	return Address{
		a.Addr.String(), a.Software.Name, a.Software.Version, float64(a.Software.Confidence), a.Software.Clues,
		each(a.Findings, toFinding), each(a.Runs, toSenderRun),
	}
}

func toSenderRun(v probe.Run) SenderRun {
	out := SenderRun{
		ID: v.Persona.ID, Case: v.Persona.Case, Does: v.Persona.Does, Outcome: v.Outcome.String(), Why: v.Reason(),
		Plaintext: v.Plaintext, Resumption: v.Resumption(), Handshake: v.Transcript,
	}
	if t := v.Transcript; t != nil && t.ServerHello != nil {
		out.Negotiated = negotiated(t.ServerHello.Version, t.ServerHello.Suite, t.ServerHello.Group)
	}
	if t := v.Transcript; t != nil && t.ClientHello != nil {
		out.JA4 = t.ClientHello.SenderJA4()
	}
	return out
}

func toFinding(f probe.Finding) Finding {
	out := Finding{ID: f.ID, Severity: f.Severity.String(), Title: f.Title, Evidence: f.Evidence, Remedies: f.Advice, Sources: f.Sources}
	if f.Case != nil {
		out.Case = f.Case.ID
	}
	if f.Accepted > 0 {
		out.Accepted = f.Accepted.String()
	}
	return out
}

// A Zone is what postern dns --json prints.
type Zone struct {
	Domain  string              `json:"domain"`
	Host    string              `json:"host"`
	Records []dnsrecords.Result `json:"records"`
	State   dnsrecords.State    `json:"state,omitempty"`
	Step    dnsrecords.Step     `json:"step,omitempty"`
	Until   *time.Time          `json:"until,omitempty"`
}

func NewZone(w dnsrecords.Config, c dnsrecords.Comparison) Zone {
	out := Zone{Domain: w.Domain, Host: w.Host, State: c.State(), Step: c.Rollover.Step, Records: c.Results}
	if c.Rollover.Step == dnsrecords.Wait {
		until := c.Rollover.Until.UTC()
		out.Until = &until
	}
	return out
}
