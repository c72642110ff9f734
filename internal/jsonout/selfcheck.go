package jsonout

import (
	"time"

	"postern/internal/probe"
)

// An Examination is what postern doctor prints, as in docs/json.md.
type Examination struct {
	Version  int       `json:"version"`
	Time     time.Time `json:"time"`
	Severity string    `json:"severity"` // of the worst finding
	Findings []Finding `json:"findings"`
}

// examinationVersion is raised when the meaning of a field changes.
const examinationVersion = 1

func NewExamination(at time.Time, worst probe.Severity, findings []probe.Finding) Examination {
	return Examination{examinationVersion, at.UTC(), worst.String(), each(findings, toFinding)}
}

// A DomainHealth is what the server found when it checked one of its domains, as in
// docs/json.md.
type DomainHealth struct {
	Domain   string    `json:"domain"`
	Time     time.Time `json:"time"`
	Severity string    `json:"severity"`
	Areas    []Area    `json:"areas"`
	Probe    *Probed   `json:"probe,omitempty"` // lists leave it out, and DNS
	DNS      *Zone     `json:"dns,omitempty"`
}

// An Area is one thing that a domain publishes, or that its hosts do.
type Area struct {
	Area     string `json:"area"` // mx, certificate, mta-sts, tlsa, tlsrpt or dnssec
	Severity string `json:"severity"`
	Title    string `json:"title,omitempty"` // of the worst finding
}
