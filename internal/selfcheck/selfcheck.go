// Package selfcheck lets a server check itself once a day: it connects to its own MX hosts as
// the senders do that package persona imitates, and looks at what its domains publish.
//
//	r := selfcheck.New(settings, prober, book, log)
//	go r.Run(ctx)
//	err := r.Request()
//
// Results are stored in the ledger: the last one of each host and each domain, in the shapes of
// docs/json.md.
//
// # What it costs others
//
// The test clients run against hosts of the operator only: see [Runner.ours]. Other MX hosts
// of the domains get a few connections of a healthy client, as from postern probe. The server
// recognises its own connections by the probe key, so they count nowhere.
//
// # Limits
//
// One check runs at a time, for at most two hours. It checks at most 200 domains and 8 hosts,
// one after the other. A request within a minute after the last check is refused.
//
// # Concurrency
//
// A Runner is safe for concurrent use.
package selfcheck

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"postern/internal/dnsrecords"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/probe"
)

// MaxDomains is how many domains one check looks at; the others wait for the next.
const MaxDomains = 200

const (
	maxHosts   = 8     // that test clients run against
	maxEarlier = 10000 // results that are looked at for what is due; the ledger keeps fewer

	checkTime = 2 * time.Hour   // of a check
	hostTime  = 5 * time.Minute // of the test clients at a host

	// requestPause is the time after a check in which none can be requested.
	requestPause = time.Minute

	// startDelay is the time before a check that is due at the start: the server first
	// serves those who wait for it.
	startDelay = time.Minute
)

// Settings say what to check, and when.
type Settings struct {
	Hostname string
	Domains  []string // in ASCII and lower case

	// Daily says that there is a check each day, At after midnight UTC. Otherwise Why is the
	// reason, for people; checks can still be requested.
	Daily bool
	At    time.Duration
	Why   string

	// Local is the address of a listener, host:port. If it is not empty, it is checked in
	// place of the hosts and domains in DNS, where a server that is tried out is not.
	Local string

	// Records returns what is required of a domain in DNS, and the key that is prepared for
	// its host. If it is nil, published records are not compared.
	Records func(domain string) (dnsrecords.Config, dnsrecords.NextKey, error)
}

// A Runner makes checks.
type Runner struct {
	prober probe.Prober
	ledger *ledger.Ledger
	path   string // of the ledger
	log    *slog.Logger

	wake     chan struct{} // the settings have changed
	requests chan struct{}

	mu       sync.Mutex
	settings Settings
	running  Progress // Since is zero while no check runs
	last     time.Time
	findings findings
}

// New returns a runner that connects as prober does, and stores results in book, whose file is
// at path.
func New(s Settings, prober probe.Prober, book *ledger.Ledger, path string, log *slog.Logger) *Runner {
	return &Runner{
		prober: prober, ledger: book, path: path, log: log, settings: s, findings: make(findings),
		wake: make(chan struct{}, 1), requests: make(chan struct{}, 1),
	}
}

// Connect replaces the prober. It must be called before Run.
func (r *Runner) Connect(prober probe.Prober) { r.prober = prober }

// Apply replaces the settings. A check that runs goes on with those it has.
func (r *Runner) Apply(s Settings) {
	r.mu.Lock()
	r.settings = s
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Settings returns the current settings.
func (r *Runner) Settings() Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings
}

// A Progress is how far a check is.
type Progress struct {
	Since     time.Time // zero if none runs
	Doing     string    // the host or domain that is checked
	Done, All int       // hosts and domains
}

// Progress returns how far the running check is.
func (r *Runner) Progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running
}

// Why a check is not made on request.
var (
	ErrRunning = errors.New("a check is running")
	ErrTooSoon = errors.New("the last check ended less than a minute ago")
)

// Request starts a check. The error is [ErrRunning] or [ErrTooSoon].
func (r *Runner) Request() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.running.Since.IsZero():
		return ErrRunning
	case time.Since(r.last) < requestPause:
		return ErrTooSoon
	}
	select {
	case r.requests <- struct{}{}:
		r.running = Progress{Since: time.Now()}
		return nil
	default:
		return ErrRunning
	}
}

// Run makes the daily checks, and those that are requested, until ctx is done.
func (r *Runner) Run(ctx context.Context) {
	last := r.load(ctx)
	for {
		var timer <-chan time.Time
		if next, ok := r.Settings().next(last, time.Now()); ok {
			timer = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
			continue
		case <-timer:
		case <-r.requests:
		}
		last = time.Now()
		r.check(ctx, r.Settings())
	}
}

// next is when the next daily check is due after the last one.
func (s Settings) next(last, now time.Time) (time.Time, bool) {
	if !s.Daily {
		return time.Time{}, false
	}
	today := now.UTC().Truncate(24 * time.Hour).Add(s.At)
	due := today // the last time at which one was due
	if due.After(now) {
		due = due.Add(-24 * time.Hour)
	}
	if last.Before(due) {
		return now.Add(startDelay), true
	}
	return due.Add(24 * time.Hour), true
}

// Next returns when the next daily check is due, false if there is none.
func (r *Runner) Next() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings.next(time.Now(), time.Now())
}

// load reads what the last checks have found, and returns when they were made.
func (r *Runner) load(ctx context.Context) time.Time {
	book, err := ledger.OpenReader(r.path)
	if err != nil {
		return time.Time{}
	}
	defer book.Close()
	for _, kind := range []ledger.CheckKind{ledger.HostCheck, ledger.DomainCheck} {
		stored, _ := book.Checks(ctx, ledger.CheckFilter{Kind: kind, Limit: maxEarlier}) // without them the next check is the first to be counted
		for _, k := range stored {
			r.found(k)
		}
	}
	when, _ := book.Checked(ctx, ledger.HostCheck) // else there is none, and one is due
	return when.Last
}

// check makes one check.
func (r *Runner) check(ctx context.Context, s Settings) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	began := time.Now()
	c := &check{Runner: r, Settings: s, seen: make(map[string]bool)}
	r.mu.Lock()
	r.running = Progress{Since: began}
	r.mu.Unlock()
	if s.Local != "" {
		c.local(ctx)
	} else {
		c.published(ctx)
	}
	r.mu.Lock()
	r.running, r.last = Progress{}, time.Now()
	r.mu.Unlock()
	r.log.Info("self-check finished", logkey.Hosts, len(c.seen), logkey.Domains, c.domains,
		logkey.Severity, c.worst.String(), logkey.Duration, time.Since(began).Round(time.Millisecond))
}

// A check is one check.
type check struct {
	*Runner
	Settings
	seen    map[string]bool // hosts that test clients ran against
	domains int
	worst   probe.Severity
}

// local runs the test clients against a listener of this machine.
func (c *check) local(ctx context.Context) {
	c.doing(c.Local, 1)
	c.host(ctx, c.Local, c.Local)
	c.keep()
}

// published checks what is in DNS: the host, the domains, and their other hosts.
func (c *check) published(ctx context.Context) {
	due := c.due(ctx)
	c.doing(c.Hostname, 1+len(due))
	c.hostOnce(ctx, c.Hostname)
	for _, domain := range due {
		if ctx.Err() != nil {
			return
		}
		c.doing(domain, 1+len(due))
		c.domain(ctx, domain)
	}
	c.keep()
}

// doing notes what is checked next.
func (c *check) doing(name string, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running.Doing, c.running.Done, c.running.All = name, len(c.seen)+c.domains, all
}

// keep forgets hosts and domains that are no longer there.
func (c *check) keep() {
	c.keepOnly(ledger.HostCheck, slices.Collect(maps.Keys(c.seen)))
	if c.Local == "" {
		c.keepOnly(ledger.DomainCheck, c.Domains)
	}
}

func (c *check) keepOnly(kind ledger.CheckKind, names []string) {
	c.ledger.KeepChecks(kind, names)
	c.foundOnly(kind, names)
}

// due returns the domains to check today: those with problems, then those that were never
// checked, then those whose check is the oldest. Domains with problems have half of the places
// at most, or many of them would keep the others from being checked.
func (c *check) due(ctx context.Context) []string {
	if len(c.Domains) <= MaxDomains {
		return c.Domains
	}
	earlier := make(map[string]ledger.Check)
	if book, err := ledger.OpenReader(c.path); err == nil {
		defer book.Close()
		found, _ := book.Checks(ctx, ledger.CheckFilter{Kind: ledger.DomainCheck, Limit: maxEarlier}) // without them all are due alike
		for _, k := range found {
			earlier[k.Name] = k
		}
	}
	oldest := slices.Clone(c.Domains)
	slices.SortStableFunc(oldest, func(a, b string) int { return earlier[a].At.Compare(earlier[b].At) })
	var due []string
	for _, domain := range oldest {
		if len(due) < MaxDomains/2 && earlier[domain].Severity >= int(probe.Warning) {
			due = append(due, domain)
		}
	}
	for _, domain := range oldest {
		if len(due) < MaxDomains && !slices.Contains(due, domain) {
			due = append(due, domain)
		}
	}
	return due
}
