// Package policy serves the MTA-STS policies of the domains (RFC 8461), and decides
// whether they may say enforce: only if a sender that verifies gets in.
//
//	p := policy.New(settings, new(policy.Check).Begin, log)
//	go p.Run(ctx, certificatesChanged)
//	routes := p.Routes()
//
// # What is served
//
// Where the mode is to be enforce, nothing (status 503) until the hosts of the
// domain have been asked for the first time: a sender keeps what it knows. Then
// enforce if all is well, testing if a sender would be refused or if it cannot be
// told. What was well once and cannot be told later stays enforce, so that nobody
// who disturbs the check turns it off.
//
// # Concurrency
//
// A Publisher is safe for concurrent use.
package policy

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"postern/internal/logkey"
	"postern/mtasts"
)

// interval is how often the hosts are asked: certificates run out, and addresses
// change.
const interval = time.Hour

// Settings say what is to be served.
type Settings struct {
	Domains []string // in ASCII and lower case, none twice
	Policy  mtasts.Policy

	// Resolver is the DNS server that knows the hosts as the world does, as host or
	// host:port. Empty: the system's.
	Resolver string
}

// A Round finds out what speaks against mode enforce for a domain: nothing, if all is well.
type Round func(ctx context.Context, domain string) []Doubt

// A Publisher has the policies that are served.
type Publisher struct {
	begin func(Settings) Round
	log   *slog.Logger
	asked chan struct{} // to check at once

	mu       sync.Mutex
	settings Settings
	domains  map[string]*decision
}

// A decision is what is served for a domain, and why.
type decision struct {
	mode   mtasts.Mode // "": not decided yet
	text   []byte      // the policy
	doubts []Doubt     // those of the last check
}

// New makes a publisher that begins its checks by begin. It panics where the policy is
// not valid: [mtasts.Policy.MarshalText] tells.
func New(settings Settings, begin func(Settings) Round, log *slog.Logger) *Publisher {
	p := &Publisher{begin: begin, log: log, asked: make(chan struct{}, 1)}
	p.Apply(settings)
	return p
}

// Apply puts other settings in force, and has the hosts asked anew. It panics as [New] does.
func (p *Publisher) Apply(settings Settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, sameMX := p.domains, slices.Equal(p.settings.Policy.MX, settings.Policy.MX)
	p.settings, p.domains = settings, make(map[string]*decision)
	for _, domain := range settings.Domains {
		d := known[domain]
		if d == nil || !sameMX {
			d = new(decision)
		}
		p.domains[domain] = d
		switch {
		case settings.Policy.Mode != mtasts.Enforce:
			p.decide(domain, settings.Policy.Mode, nil)
		case d.mode != "": // it stays until the check says otherwise
			d.text = p.write(d.mode)
		}
	}
	select {
	case p.asked <- struct{}{}:
	default:
	}
}

// Run has the hosts asked now, each hour, and whenever changed gives a value, until
// ctx ends.
func (p *Publisher) Run(ctx context.Context, changed <-chan struct{}) {
	hourly := time.NewTicker(interval)
	defer hourly.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.asked:
		case <-changed:
		case <-hourly.C:
		}
		p.checkAll(ctx)
	}
}

// checkAll asks the hosts of all domains, where the mode is to be enforce.
func (p *Publisher) checkAll(ctx context.Context) {
	p.mu.Lock()
	settings := p.settings
	p.mu.Unlock()
	if settings.Policy.Mode != mtasts.Enforce {
		return
	}
	round := p.begin(settings)
	for _, domain := range settings.Domains {
		doubts := round(ctx, domain)
		if ctx.Err() != nil {
			return
		}
		p.heed(domain, settings, doubts)
	}
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
