package mtastsserve

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/logkey"
	"postern/mtasts"
)

// A domainPolicy is the policy that a domain serves.
type domainPolicy struct {
	mode     mtasts.Mode // "": not decided yet
	text     []byte
	problems []Problem // of the last check
}

// decide serves the mode that follows from a check, unless the settings have changed
// since it began.
func (p *Publisher) decide(domain string, settings Settings, problems []Problem) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.domains[domain]
	if d == nil || p.settings.Policy.Mode != mtasts.Enforce || !slices.Equal(p.settings.Policy.MX, settings.Policy.MX) {
		return
	}
	mode := mtasts.Enforce
	refused := slices.ContainsFunc(problems, func(p Problem) bool { return p.Refused })
	if refused || len(problems) > 0 && d.mode != mtasts.Enforce {
		mode = mtasts.Testing
	}
	if p.serve(domain, mode, problems) {
		p.logServing(domain)
	}
}

// serve serves the policy with a mode, logs problems that were not there before, and
// reports whether the mode has changed.
func (p *Publisher) serve(domain string, mode mtasts.Mode, problems []Problem) (changed bool) {
	d := p.domains[domain]
	changed = d.mode != mode
	if changed && p.settings.Changed != nil {
		p.settings.Changed(domain, mode)
	}
	if !slices.EqualFunc(d.problems, problems, sameProblem) {
		p.warn(domain, mode, problems)
	}
	d.mode, d.problems, d.text = mode, problems, p.marshal(mode)
	return changed
}

// Modes returns how many domains serve a policy with each mode. The mode is empty where the
// hosts have not been checked yet.
func (p *Publisher) Modes() map[mtasts.Mode]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	modes := make(map[mtasts.Mode]int)
	for _, d := range p.domains {
		modes[d.mode]++
	}
	return modes
}

func (p *Publisher) logServing(domain string) {
	p.log.Info("serving MTA-STS policy", logkey.Domain, domain, logkey.Mode, p.domains[domain].mode, logkey.MX, p.settings.Policy.MX)
}

// warn logs a line for each problem.
func (p *Publisher) warn(domain string, mode mtasts.Mode, problems []Problem) {
	for _, problem := range problems {
		about := []any{logkey.Domain, domain, logkey.Host, problem.Host}
		if problem.Addr != "" {
			about = append(about, logkey.Address, problem.Addr)
		}
		about = append(about, logkey.Reason, problem.Reason, logkey.Remedy, problem.Remedy)
		switch {
		case problem.Refused:
			p.log.Warn("MTA-STS policy downgraded to testing: verifying senders cannot deliver", about...)
		case mode == mtasts.Enforce:
			p.log.Warn("MTA-STS policy kept in enforce: check inconclusive", about...)
		default:
			p.log.Warn("MTA-STS policy downgraded to testing: check inconclusive", about...)
		}
	}
}

// marshal returns the policy with another mode.
func (p *Publisher) marshal(mode mtasts.Mode) []byte {
	policy := p.settings.Policy
	policy.Mode = mode
	text, err := policy.MarshalText()
	if err != nil {
		panic(fmt.Sprintf("mtastsserve: %v", strings.TrimPrefix(err.Error(), "mtasts: ")))
	}
	return text
}
