package selfcheck

import (
	"encoding/json"

	"postern/internal/jsonout"
	"postern/internal/ledger"
)

// findings are how many findings the last check of each host and domain has, by severity.
type findings map[ledger.CheckKind]map[string]map[string]int

// Findings returns how many findings the last checks have together, by severity in words. Those
// of a domain are the worst of each area. A kind of checks that was not made has none.
func (r *Runner) Findings() map[ledger.CheckKind]map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	sums := make(map[ledger.CheckKind]map[string]int)
	for kind, all := range r.findings {
		sum := make(map[string]int)
		for _, one := range all {
			for severity, n := range one {
				sum[severity] += n
			}
		}
		sums[kind] = sum
	}
	return sums
}

// found notes the findings of a check.
func (r *Runner) found(k ledger.Check) {
	counts := countFindings(k)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.findings[k.Kind] == nil {
		r.findings[k.Kind] = make(map[string]map[string]int)
	}
	r.findings[k.Kind][k.Name] = counts
}

// foundOnly forgets the findings of all checks of a kind but those.
func (r *Runner) foundOnly(kind ledger.CheckKind, names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := make(map[string]map[string]int)
	for _, name := range names {
		if counts, checked := r.findings[kind][name]; checked {
			kept[name] = counts
		}
	}
	if r.findings[kind] = kept; len(kept) == 0 {
		delete(r.findings, kind)
	}
}

// countFindings counts what the summary of a check has. One that an earlier version has stored in
// another shape has nothing, until the next check.
func countFindings(k ledger.Check) map[string]int {
	counts := make(map[string]int)
	switch k.Kind {
	case ledger.DomainCheck:
		var health jsonout.DomainHealth
		json.Unmarshal(k.Summary, &health)
		for _, area := range health.Areas {
			counts[area.Severity]++
		}
	case ledger.HostCheck:
		var probed jsonout.Probed
		json.Unmarshal(k.Summary, &probed)
		if probed.Error != "" {
			counts[probed.Severity]++ // unclear: that it could not be probed
		}
		for _, f := range probed.AllFindings() {
			counts[f.Severity]++
		}
	}
	return counts
}
