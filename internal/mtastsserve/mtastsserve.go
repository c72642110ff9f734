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
package mtastsserve

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"postern/internal/web"
	"postern/mtasts"
)

// interval is how often the hosts are asked: certificates run out, and addresses
// change.
const interval = time.Hour

// atOnce is how many domains are checked at a time: where nothing answers each takes
// its time.
const atOnce = 8

// Settings say what is to be served.
type Settings struct {
	Domains []string // in ASCII and lower case, none twice
	Policy  mtasts.Policy

	// Resolver is the DNS server that knows the hosts as the world does, as host or
	// host:port. Empty: the system's.
	Resolver string
}

// A Round finds out what speaks against mode enforce for a domain: nothing, if all is
// well. It is safe for concurrent use.
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
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	round := p.begin(settings)
	for _, domain := range settings.Domains {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if doubts := round(ctx, domain); ctx.Err() == nil {
				p.heed(domain, settings, doubts)
			}
		})
	}
	running.Wait()
}

// Routes are where the policies are served: RFC 8461, Section 3.3.
func (p *Publisher) Routes() []web.Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	var routes []web.Route
	for _, domain := range p.settings.Domains {
		routes = append(routes, web.Route{
			Pattern: "GET mta-sts." + domain + "/.well-known/mta-sts.txt",
			Handler: p.handler(domain),
		})
	}
	return routes
}

func (p *Publisher) handler(domain string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		text := p.text(domain)
		w.Header().Set("Cache-Control", "no-store") // senders keep it by max_age, and no other way
		if text == nil {
			w.Header().Set("Retry-After", "60")
			http.Error(w, "the policy is being checked", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Write(text)
	})
}

func (p *Publisher) text(domain string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.domains[domain]; d != nil {
		return d.text
	}
	return nil
}
