package mtastsserve

import (
	"fmt"
	"slices"
	"strings"

	"postern/internal/logkey"
	"postern/mtasts"
)

// A decision is what is served for a domain, and why.
type decision struct {
	mode   mtasts.Mode // "": not decided yet
	text   []byte      // the policy
	doubts []Doubt     // those of the last check
}

// heed decides by what a check found, unless other settings came meanwhile.
func (p *Publisher) heed(domain string, settings Settings, doubts []Doubt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.domains[domain]
	if d == nil || p.settings.Policy.Mode != mtasts.Enforce || !slices.Equal(p.settings.Policy.MX, settings.Policy.MX) {
		return
	}
	mode := mtasts.Enforce
	refused := slices.ContainsFunc(doubts, func(d Doubt) bool { return d.Refused })
	if refused || len(doubts) > 0 && d.mode != mtasts.Enforce {
		mode = mtasts.Testing
	}
	p.decide(domain, mode, doubts)
}

// decide serves a policy from now on, and says so if anything has changed.
func (p *Publisher) decide(domain string, mode mtasts.Mode, doubts []Doubt) {
	d := p.domains[domain]
	news := d.mode != mode
	if !slices.EqualFunc(d.doubts, doubts, same) {
		p.warn(domain, mode, doubts)
	}
	d.mode, d.doubts, d.text = mode, doubts, p.write(mode)
	if news {
		p.log.Info("MTA-STS policy is served", logkey.Domain, domain, logkey.Mode, mode, logkey.MX, p.settings.Policy.MX)
	}
}

// warn has a line for each doubt, which needs no other.
func (p *Publisher) warn(domain string, mode mtasts.Mode, doubts []Doubt) {
	for _, d := range doubts {
		message := "MTA-STS policy says testing, not enforce: it could not be told whether senders that verify get in"
		switch {
		case d.Refused:
			message = "MTA-STS policy says testing, not enforce: senders that verify do not get in"
		case mode == mtasts.Enforce:
			message = "MTA-STS policy still says enforce: it could not be told whether senders that verify get in"
		}
		about := []any{logkey.Domain, domain, logkey.Host, d.Host}
		if d.Addr != "" {
			about = append(about, logkey.Address, d.Addr)
		}
		p.log.Warn(message, append(about, logkey.Reason, d.Why, logkey.Remedy, d.Remedy)...)
	}
}

// write gives the policy with another mode.
func (p *Publisher) write(mode mtasts.Mode) []byte {
	policy := p.settings.Policy
	policy.Mode = mode
	text, err := policy.MarshalText()
	if err != nil {
		panic(fmt.Sprintf("policy: %v", strings.TrimPrefix(err.Error(), "mtasts: ")))
	}
	return text
}
