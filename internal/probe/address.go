package probe

import (
	"context"
	"crypto/x509"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/persona"
	"postern/internal/probekey"
)

// An addressProbe is what was observed at one address.
type addressProbe struct {
	ctx      context.Context
	host     string
	target   persona.Target
	roots    *x509.CertPool
	message  *persona.TestMessage // for the first of runs; nil: none
	ipv4     bool                 // the target has an IPv4 address, this or another
	now      time.Time
	healthy  *persona.Persona
	software Software
	progress func(done, total int) // may be nil

	first, resumed, last *persona.Result // of the healthy client; resumed offers the session of first
	runs                 []Run
	aborted              []*abortedHandshake
	smuggled             []smuggling // nil: not tested
}

// checks return the findings about an address, in the order in which findings of the same
// severity are listed.
var checks = []func(*addressProbe) []Finding{
	checkReachable,
	checkHealthy,
	checkFirewall,
	checkPersonas,
	checkInjection,
	checkAborted,
	checkSmuggling,
	checkDelivery,
	checkTicketOrder,
	checkResumption,
	checkVersion,
	checkCertificate,
	checkChainSize,
	checkClientCertificate,
	checkRecognised,
	checkStillUp,
}

// maxConnections is how many connections an address gets at a time.
const maxConnections = 2

// healthyID is the persona that runs first, then again with its session, and last.
const healthyID = "healthy-go"

// probeAddress runs all personas against an address, and then the checks.
func (p *Prober) probeAddress(probe *addressProbe, a *Address) {
	probe.target = persona.Target{Addr: a.Addr.String(), Protocol: p.Protocol, ServerName: probe.host, RootCAs: p.RootCAs, Key: p.Key}
	probe.healthy, _ = persona.Find(healthyID)
	if p.Progress != nil {
		probe.progress = func(done, total int) { p.Progress(a.Addr, done, total) }
	}
	a.probe = probe
	probe.first = probe.healthy.Run(probe.ctx, probe.slowTarget())
	probe.software = recognise(probe.first.Greeting, ehloReply(probe.first))
	if !probe.first.Recognised {
		probe.target.Key = probekey.Key{} // of another server, or of none
	}
	if probe.first.Stage > persona.AtSTARTTLS || probe.first.Completed {
		probe.runAll(p.Personas)
		probe.finish(p.Intrusive)
	}
	a.Software, a.Runs = probe.software, probe.runs
	for _, check := range checks {
		a.Findings = append(a.Findings, check(probe)...)
	}
	sortFindings(a.Findings)
}

// ehloReply returns the reply to EHLO in plaintext, or over TLS with implicit TLS.
func ehloReply(r *persona.Result) []string {
	if r.EHLO == nil {
		return r.SecureEHLO
	}
	return r.EHLO
}

// runAll makes all connections between the first and those of finish.
func (p *addressProbe) runAll(personas []*persona.Persona) {
	if personas == nil {
		personas = persona.All()
	}
	p.runs = make([]Run, len(personas))
	connections := []func(){func() { p.resumed = p.healthy.Resume(p.ctx, p.target, p.first) }}
	for _, i := range longestDelayFirst(personas) {
		connections = append(connections, func() {
			target := p.target
			if personas[i].Case == "early-ticket" {
				target = p.slowTarget()
			}
			if i == 0 {
				target.Deliver = p.message
			}
			p.runs[i] = Classify(personas[i], personas[i].Run(p.ctx, target))
		})
	}
	if noop[p.target.Protocol].command != "" {
		p.aborted = abortedHandshakes()
	}
	for _, a := range p.aborted {
		connections = append(connections, func() { a.run(p.ctx, p.healthy, p.target) })
	}
	p.connect(connections)
}

// connectionPause is the pause after a connection before the next: servers limit the rate
// of connections.
const connectionPause = 20 * time.Millisecond

// connect makes connections, at most maxConnections at a time.
func (p *addressProbe) connect(connections []func()) {
	slots := make(chan struct{}, maxConnections)
	var running sync.WaitGroup
	var done atomic.Int32
	for _, connection := range connections {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			connection()
			if n := int(done.Add(1)); p.progress != nil {
				p.progress(n, len(connections))
			}
			select {
			case <-time.After(connectionPause):
			case <-p.ctx.Done():
			}
		})
	}
	running.Wait()
}

// finish tests smuggling, if asked to, and runs the healthy client for the last time.
func (p *addressProbe) finish(intrusive bool) {
	if intrusive && p.message != nil && p.first.Completed {
		p.smuggle(*p.message)
	}
	p.last = p.healthy.Run(p.ctx, p.target)
	p.retractFailures()
}

// slowTarget is the target for clients that observe what the server sends early.
func (p *addressProbe) slowTarget() persona.Target {
	target := p.target
	target.Dial = DialSlowly
	return target
}

// longestDelayFirst returns the indices of personas, those with a delay first, so that
// others run during their delays.
func longestDelayFirst(personas []*persona.Persona) []int {
	order := make([]int, len(personas))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(personas[b].Delay - personas[a].Delay) })
	return order
}

// retractFailures makes failures inconclusive if the healthy client, which completed the
// first run, fails in the last.
func (p *addressProbe) retractFailures() {
	if !p.first.Completed || p.last.Completed {
		return
	}
	for i := range p.runs {
		if p.runs[i].Outcome == Failed {
			p.runs[i].Outcome = Inconclusive
		}
	}
}

// run returns the run of a persona, nil if there was none.
func (p *addressProbe) run(id string) *Run {
	i := slices.IndexFunc(p.runs, func(r Run) bool { return r.Persona.ID == id })
	if i < 0 {
		return nil
	}
	return &p.runs[i]
}

// addressLocks let one probe at a time connect to an address. Hosts of a domain, and
// targets, may share an address.
type addressLocks struct {
	mu    sync.Mutex
	locks map[netip.AddrPort]*addressLock
}

// An addressLock is the lock of one address.
type addressLock struct {
	held  chan struct{} // full while locked
	users int           // holder and waiters, guarded by addressLocks.mu
}

// locks are those of all Probers.
var locks = addressLocks{locks: make(map[netip.AddrPort]*addressLock)}

// lock locks an address and returns the function that unlocks it. If ctx is done first, it
// returns without the lock: no connection would begin any more.
func (l *addressLocks) lock(ctx context.Context, addr netip.AddrPort) (unlock func()) {
	lock := l.use(addr)
	select {
	case lock.held <- struct{}{}:
		return func() {
			<-lock.held
			l.release(addr, lock)
		}
	case <-ctx.Done():
		l.release(addr, lock)
		return func() {}
	}
}

func (l *addressLocks) use(addr netip.AddrPort) *addressLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	lock := l.locks[addr]
	if lock == nil {
		lock = &addressLock{held: make(chan struct{}, 1)}
		l.locks[addr] = lock
	}
	lock.users++
	return lock
}

func (l *addressLocks) release(addr netip.AddrPort, lock *addressLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if lock.users--; lock.users == 0 {
		delete(l.locks, addr)
	}
}
