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
	limit    time.Duration         // of the whole probe
	alone    bool                  // see [Prober.Alone]
	resume   bool                  // see [Prober.Resume]

	// Of the healthy client; resumed offers the session of first. With alone, first is that of
	// the first persona. Those that were not made are nil.
	first, resumed, last *persona.Result
	firstTook            time.Duration
	runs                 []Run
	aborted              []*abortedHandshake
	smuggled             []smuggling // nil: not tested

	mu     sync.Mutex
	unmade []string // checks that were not made because time was up
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
	checkTimeUp,
}

// checksAlone return the findings if there are no other clients.
var checksAlone = []func(*addressProbe) []Finding{
	checkReachable,
	checkOffersTLS,
	checkPersonas,
	checkInjection,
	checkSmuggling,
	checkDelivery,
	checkRecognised,
	checkTimeUp,
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
	personas := p.Personas
	if personas == nil {
		personas = persona.All()
	}
	checks := checks
	if p.Alone {
		checks = checksAlone
		probe.runAlone(personas, p.Intrusive)
	} else {
		probe.runAll(personas, p.Intrusive)
	}
	a.Software, a.Runs = probe.software, probe.runs
	for _, check := range checks {
		a.Findings = append(a.Findings, check(probe)...)
	}
	sortFindings(a.Findings)
}

// runAlone makes the runs of personas, one after the other.
func (p *addressProbe) runAlone(personas []*persona.Persona, intrusive bool) {
	p.runs = make([]Run, len(personas))
	var connections []connection
	for i := range personas {
		run := p.run(personas, i)
		if i == 0 {
			make := run.make
			run.make = func() {
				make()
				p.look(p.runs[0].Result)
			}
		}
		connections = append(connections, run)
	}
	p.connect(connections, 1)
	p.first = p.runs[0].Result
	if intrusive && p.message != nil && p.first.Completed {
		p.smuggle(*p.message)
	}
}

// runAll makes all connections, those of personas between the first and the last of the
// healthy client.
func (p *addressProbe) runAll(personas []*persona.Persona, intrusive bool) {
	connections := p.connections(personas)
	began := time.Now()
	p.first = p.healthy.Run(p.ctx, p.slowTarget())
	p.firstTook = time.Since(began)
	if !p.first.Completed && !p.hadTime(began) {
		p.first = &persona.Result{Err: ErrTimeUp}
		p.notMade("first healthy client")
		for _, c := range connections {
			p.notMade(c.name)
		}
		return
	}
	p.look(p.first)
	if p.first.Stage <= persona.AtSTARTTLS && !p.first.Completed {
		return
	}
	p.runs = make([]Run, len(personas))
	p.connect(connections, maxConnections)
	if intrusive && p.message != nil && p.first.Completed {
		p.smuggle(*p.message)
	}
	p.last = p.healthy.Run(p.ctx, p.target)
	if !p.last.Completed && timeIsUp(p.ctx) {
		p.last = nil
		p.notMade("last healthy client")
	}
	p.retractFailures()
}

// look takes from the first run what the others need to know of the server.
func (p *addressProbe) look(first *persona.Result) {
	p.software = recognise(first.Greeting, ehloReply(first))
	if delivers := p.alone && p.message != nil; !first.Recognised && !delivers {
		p.target.Key = probekey.Key{} // of another server, or of none
	}
}

// ehloReply returns the reply to EHLO in plaintext, or over TLS with implicit TLS.
func ehloReply(r *persona.Result) []string {
	if r.EHLO == nil {
		return r.SecureEHLO
	}
	return r.EHLO
}

// A connection is a connection to make.
type connection struct {
	name   string // of its check
	make   func()
	forget func() // its result, if time was up meanwhile
}

// connections returns those between the first and the last.
func (p *addressProbe) connections(personas []*persona.Persona) []connection {
	all := []connection{{
		name:   "resumption",
		make:   func() { p.resumed = p.healthy.Resume(p.ctx, p.target, p.first) },
		forget: func() { p.resumed = nil },
	}}
	for _, i := range longestDelayFirst(personas) {
		all = append(all, p.run(personas, i))
	}
	if noop[p.target.Protocol].command != "" {
		p.aborted = abortedHandshakes()
	}
	for _, a := range p.aborted {
		all = append(all, connection{
			name:   "aborted handshake",
			make:   func() { a.run(p.ctx, p.healthy, p.target) },
			forget: a.forget,
		})
	}
	return all
}

// run returns the connection of the persona with index i, the first of which delivers.
func (p *addressProbe) run(personas []*persona.Persona, i int) connection {
	known := personas[i]
	return connection{
		name: known.ID,
		make: func() {
			target := p.target
			if known.ID == "early-ticket" {
				target = p.slowTarget()
			}
			if i == 0 {
				target.Deliver = p.message
			}
			began := time.Now()
			p.runs[i] = Classify(known, known.Run(p.ctx, target))
			p.runs[i].began = began
			if p.resume && p.runs[i].Outcome == Completed && p.runs[i].Resumable() {
				target.Deliver = nil
				p.runs[i].Again = known.Resume(p.ctx, target, p.runs[i].Result)
			}
		},
		forget: func() {
			p.runs[i] = Run{Persona: known, Result: &persona.Result{Err: ErrTimeUp}, Outcome: Inconclusive}
		},
	}
}

// connectionPause is the pause after a connection before the next: servers limit the rate
// of connections.
const connectionPause = 20 * time.Millisecond

// connect makes connections, some at a time.
func (p *addressProbe) connect(connections []connection, atATime int) {
	slots := make(chan struct{}, atATime)
	var running sync.WaitGroup
	var done atomic.Int32
	for _, connection := range connections {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if !timeIsUp(p.ctx) {
				connection.make()
			}
			if timeIsUp(p.ctx) {
				connection.forget()
				p.notMade(connection.name)
			}
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

// retractFailures makes failures inconclusive after which no client completed a handshake: the
// server may have gone down before.
func (p *addressProbe) retractFailures() {
	if !p.first.Completed || p.last != nil && p.last.Completed {
		return
	}
	var up time.Time // when the last client began that completed
	for _, r := range p.runs {
		if p.last == nil && r.Outcome == Completed && r.began.After(up) {
			up = r.began
		}
	}
	for i := range p.runs {
		if r := &p.runs[i]; r.Outcome == Failed && r.began.After(up) {
			r.Outcome = Inconclusive
			if p.last == nil { // time was up: see checkTimeUp
				r.Result = &persona.Result{Err: ErrTimeUp}
				p.notMade(r.Persona.ID + " (no client completed after it)")
			}
		}
	}
}

// runOf returns the run of a persona, nil if there was none.
func (p *addressProbe) runOf(id string) *Run {
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
