package probe

import (
	"fmt"
	"slices"
	"strings"
)

// Accepted are findings that an operator knows and accepts.
type Accepted []AcceptedFinding

// An AcceptedFinding is one of them, at all hosts of a target.
type AcceptedFinding struct{ Target, ID string }

// ParseAccepted returns the findings in a text: a target and the ID of a finding in each line.
// What follows a # is a comment.
func ParseAccepted(text string) (all Accepted, err error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		switch words := strings.Fields(line); len(words) {
		case 0:
		case 2:
			all = append(all, AcceptedFinding{words[0], words[1]})
		default:
			return nil, fmt.Errorf("line %d: expected a target and the ID of a finding", number)
		}
	}
	return all, nil
}

// Mark makes the accepted problems of a report notices; see [Finding.Accepted].
func (a Accepted) Mark(r *Report) {
	for _, findings := range r.lists() {
		for i := range findings {
			f := &findings[i]
			isThis := func(known AcceptedFinding) bool {
				return known.ID == f.ID && sameTarget(known.Target, r.Target)
			}
			if f.Severity > Notice && slices.ContainsFunc(a, isThis) {
				f.Accepted, f.Severity = f.Severity, Notice
			}
		}
		sortFindings(findings)
	}
}

func sameTarget(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// lists returns the findings of the report, and those of each address.
func (r *Report) lists() [][]Finding {
	all := [][]Finding{r.Findings}
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			all = append(all, a.Findings)
		}
	}
	return all
}
