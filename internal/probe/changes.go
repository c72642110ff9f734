package probe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern/internal/safetext"
)

// Problems are the findings of a probe above [Notice], each in one line, by place
// and finding.
type Problems map[string]string

// ProblemsOf returns the problems in what [Prober.Probe] returned. An error is one.
func ProblemsOf(r *Report, err error) Problems {
	all := make(Problems)
	if err != nil {
		all["error"] = fmt.Sprintf("%s: %s", Unclear, safetext.Printable(err.Error()))
		return all
	}
	all.add("", r.Findings)
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			all.add(a.Addr.String()+" ", a.Findings)
		}
	}
	return all
}

func (p Problems) add(place string, findings []Finding) {
	for i, f := range findings {
		if f.Severity <= Notice {
			continue
		}
		key := place + f.ID
		if i > 0 && findings[i-1].ID == f.ID { // of another host
			key += strings.Join(f.Evidence, " ")
		}
		p[key] = fmt.Sprintf("%s: %s%s", f.Severity, place, f.Title)
	}
}

// Changes returns a line for each problem that is new in now, then for each that
// is resolved.
func (p Problems) Changes(now Problems) (lines []string) {
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if p[key] != now[key] {
			lines = append(lines, "new, "+now[key])
		}
	}
	for _, key := range slices.Sorted(maps.Keys(p)) {
		if _, still := now[key]; !still {
			lines = append(lines, "resolved, "+p[key])
		}
	}
	return lines
}
