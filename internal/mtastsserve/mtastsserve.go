// Package mtastsserve serves the MTA-STS policies of the domains (RFC 8461), and
// downgrades a policy to testing where enforce would block mail.
//
//	p := mtastsserve.New(settings, new(mtastsserve.Checker).Begin, log)
//	go p.Run(ctx, certificatesChanged)
//	routes := p.Routes()
//
// # What is served
//
// The modes testing and none are served as configured. Mode enforce is checked first:
// until the hosts of the domain have been checked once, requests get status 503, and
// senders keep the policy that they have. Then the policy is served with mode
//
//   - enforce, if a sender that verifies certificates can deliver,
//   - testing, if it cannot, or if the first check is inconclusive.
//
// A later inconclusive check leaves enforce in force, so that an attacker who disturbs
// the check cannot turn it off. See docs/decisions/0011-mta-sts-checked-before-enforce.md.
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
	"strings"
	"sync"
	"time"

	"postern/internal/logkey"
	"postern/internal/web"
	"postern/mtasts"
)

// checkInterval is how often hosts are checked: certificates expire, and addresses
// change.
const checkInterval = time.Hour

// maxDomains is how many domains are checked at once: where nothing answers, each takes
// until its timeout.
const maxDomains = 8

// maxLogged is how many domains have a line of their own when all change at once.
const maxLogged = 20

// Settings are what to serve.
type Settings struct {
	Domains []string // in ASCII and lower case, each once
	Policy  mtasts.Policy

	// Changed, when not nil, is called when a domain is served another mode, at first too. It
	// must not wait.
	Changed func(domain string, mode mtasts.Mode)

	// Resolver is the DNS server that answers as for senders on the Internet, host or
	// host:port. Empty: the system's.
	Resolver string
}

// A CheckFunc returns what would keep senders from delivering to a domain in mode
// enforce. It is safe for concurrent use.
type CheckFunc func(ctx context.Context, domain string) []Problem

// A Publisher serves policies.
type Publisher struct {
	begin    func(Settings) CheckFunc
	log      *slog.Logger
	checkNow chan struct{}

	mu       sync.Mutex
	settings Settings
	domains  map[string]*domainPolicy
}

// New returns a publisher that gets the CheckFunc for each check of all domains from
// begin. It panics if the policy is not valid, see [mtasts.Policy.MarshalText].
func New(settings Settings, begin func(Settings) CheckFunc, log *slog.Logger) *Publisher {
	p := &Publisher{begin: begin, log: log, checkNow: make(chan struct{}, 1)}
	p.Apply(settings)
	return p
}

// Apply replaces the settings and starts a check. It panics as [New] does.
func (p *Publisher) Apply(settings Settings) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, sameMX := p.domains, slices.Equal(p.settings.Policy.MX, settings.Policy.MX)
	p.settings, p.domains = settings, make(map[string]*domainPolicy, len(settings.Domains))
	changed := 0
	for _, domain := range settings.Domains {
		d := old[domain]
		if d == nil || !sameMX {
			d = new(domainPolicy)
		}
		p.domains[domain] = d
		switch {
		case settings.Policy.Mode != mtasts.Enforce:
			if p.serve(domain, settings.Policy.Mode, nil) {
				if changed++; changed <= maxLogged {
					p.logServing(domain)
				}
			}
		case d.mode != "": // keep the mode until the check
			d.text = p.marshal(d.mode)
		}
	}
	if more := changed - maxLogged; more > 0 {
		p.log.Info("serving more MTA-STS policies", logkey.Domains, more, logkey.Mode, settings.Policy.Mode)
	}
	select {
	case p.checkNow <- struct{}{}:
	default:
	}
}

// Run checks the hosts at once, each hour, and whenever changed yields a value, until ctx
// is done.
func (p *Publisher) Run(ctx context.Context, changed <-chan struct{}) {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.checkNow:
		case <-changed:
		case <-ticker.C:
		}
		p.checkAll(ctx)
	}
}

// checkAll checks the hosts of all domains, if the configured mode is enforce.
func (p *Publisher) checkAll(ctx context.Context) {
	p.mu.Lock()
	settings := p.settings
	p.mu.Unlock()
	if settings.Policy.Mode != mtasts.Enforce {
		return
	}
	var running sync.WaitGroup
	slots := make(chan struct{}, maxDomains)
	check := p.begin(settings)
	for _, domain := range settings.Domains {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if problems := check(ctx, domain); ctx.Err() == nil {
				p.decide(domain, settings, problems)
			}
		})
	}
	running.Wait()
}

// Downgraded returns the domains whose policy is served as testing in place of enforce, in
// alphabetical order, and a reason of one of them.
func (p *Publisher) Downgraded() (domains []string, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.settings.Policy.Mode != mtasts.Enforce {
		return nil, ""
	}
	for domain, d := range p.domains {
		if d.mode == mtasts.Testing {
			domains = append(domains, domain)
		}
	}
	slices.Sort(domains)
	for _, domain := range domains {
		for _, problem := range p.domains[domain].problems {
			return domains, problem.Host + ": " + problem.Reason
		}
	}
	return domains, "the check is not finished"
}

// Routes returns the route of the policies, RFC 8461, Section 3.3; none without domains. It
// is one for all domains: adding a route to [http.ServeMux] takes time for each that is
// there.
func (p *Publisher) Routes() []web.Route {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.settings.Domains) == 0 {
		return nil
	}
	return []web.Route{{Pattern: "GET /.well-known/mta-sts.txt", Handler: http.HandlerFunc(p.answer)}}
}

func (p *Publisher) answer(w http.ResponseWriter, r *http.Request) {
	domain, ok := strings.CutPrefix(r.Host, "mta-sts.")
	text, known := p.text(domain)
	if !ok || !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-store") // senders keep a policy for its max_age, HTTP caches must not
	if text == nil {
		w.Header().Set("Retry-After", "60")
		http.Error(w, "policy not checked yet", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.Write(text)
}

// text returns the policy that a domain serves, nil if it is not checked yet, and whether the
// domain is one of those served.
func (p *Publisher) text(domain string) (text []byte, known bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.domains[domain]; d != nil {
		return d.text, true
	}
	return nil, false
}
