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
)

// An exam is all that checks can look at: what one address said to whom.
type exam struct {
	ctx      context.Context
	host     string
	target   persona.Target
	roots    *x509.CertPool
	letter   *persona.TestMessage // for the first of visits; nil: none
	ipv4     bool                 // the target has an IPv4 address, here or elsewhere
	now      time.Time
	healthy  *persona.Persona
	software Software

	first, again, last *persona.Result // of the healthy client; again offers the session of first
	visits             []Run
	breaches           []*breach
	smuggled           []smuggling         // nil: not tried
	visited            func(over, all int) // nil: nobody wants to know
}

// connections is how many an address has to bear at once.
const connections = 2

// healthyID is the persona that comes first, a second time with its session, and last.
const healthyID = "healthy-go"

// examine lets all personas visit an address, and judges what they saw.
func (p *Prober) examine(e *exam, a *Address) {
	e.target = persona.Target{Addr: a.Addr.String(), Protocol: p.Protocol, ServerName: e.host, RootCAs: p.RootCAs}
	e.healthy, _ = persona.Find(healthyID)
	if p.Progress != nil {
		e.visited = func(over, all int) { p.Progress(a.Addr, over, all) }
	}
	a.exam = e
	e.first = e.healthy.Run(e.ctx, e.slowly())
	e.software = recognise(e.first.Greeting, offers(e.first))
	if e.first.Stage > persona.AtSTARTTLS || e.first.Completed {
		e.rest(p.Personas)
		e.conclude(p.Intrusive)
	}
	a.Software, a.Runs = e.software, e.visits
	for _, check := range checks {
		a.Findings = append(a.Findings, check(e)...)
	}
	byWeight(a.Findings)
}

// offers is what the server said to EHLO in clear, or over TLS where that comes first.
func offers(v *persona.Result) []string {
	if v.EHLO == nil {
		return v.SecureEHLO
	}
	return v.EHLO
}

// rest is all visits after the first but those of conclude.
func (e *exam) rest(personas []*persona.Persona) {
	if personas == nil {
		personas = persona.All()
	}
	e.visits = make([]Run, len(personas))
	visits := []func(){func() { e.again = e.healthy.Resume(e.ctx, e.target, e.first) }}
	for _, i := range slowestFirst(personas) {
		visits = append(visits, func() {
			target := e.target
			if personas[i].Case == "early-ticket" {
				target = e.slowly()
			}
			if i == 0 {
				target.Deliver = e.letter
			}
			v := personas[i].Run(e.ctx, target)
			e.visits[i] = Classify(personas[i], v)
		})
	}
	if harmless[e.target.Protocol].command != "" {
		e.breaches = breaches()
	}
	for _, b := range e.breaches {
		visits = append(visits, func() { b.try(e.ctx, e.healthy, e.target) })
	}
	e.run(visits)
}

// spacing is between the end of a visit and the next that comes in its place: a server
// counts who comes how often.
const spacing = 20 * time.Millisecond

// run makes visits, a few at a time.
func (e *exam) run(visits []func()) {
	slots := make(chan struct{}, connections)
	var running sync.WaitGroup
	var over atomic.Int32
	for _, visit := range visits {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			visit()
			if n := int(over.Add(1)); e.visited != nil {
				e.visited(n, len(visits))
			}
			select {
			case <-time.After(spacing):
			case <-e.ctx.Done():
			}
		})
	}
	running.Wait()
}

// conclude is what comes after all others: smuggling, if that is asked for, and the
// last visit of the healthy client.
func (e *exam) conclude(intrusive bool) {
	if intrusive && e.letter != nil && e.first.Completed {
		e.smuggle(*e.letter)
	}
	e.last = e.healthy.Run(e.ctx, e.target)
	e.settle()
}

// slowly is the target for those who look for what comes early.
func (e *exam) slowly() persona.Target {
	target := e.target
	target.Dial = DialSlowly
	return target
}

// slowestFirst are the indices of personas, those that pause before the others, so
// that the pauses of one pass during the visits of others.
func slowestFirst(personas []*persona.Persona) []int {
	order := make([]int, len(personas))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return int(personas[b].Delay - personas[a].Delay) })
	return order
}

// Classify tells what a visit of p means by itself, without a look at the server's health.
func Classify(p *persona.Persona, v *persona.Result) Run { return Run{p, v, outcomeOf(p, v)} }

func outcomeOf(p *persona.Persona, v *persona.Result) Outcome {
	injects := p.Case == injectionCase
	switch {
	case v.Completed:
		return Completed
	case injects && v.Stage >= persona.AtSTARTTLS && !v.Injected:
		return Refused // RFC 3207, Section 6 lets a server discard the command; refusing is as good
	case v.Stage < persona.AtHandshake:
		return Inconclusive
	}
	return Failed
}

// settle takes back what failures seem to say when the healthy client, who was let in
// at first, fails at last too.
func (e *exam) settle() {
	if !e.first.Completed || e.last.Completed {
		return
	}
	for i := range e.visits {
		if e.visits[i].Outcome == Failed {
			e.visits[i].Outcome = Inconclusive
		}
	}
}

// visit returns what became of a persona, or nil if it did not come.
func (e *exam) visit(id string) *Run {
	i := slices.IndexFunc(e.visits, func(v Run) bool { return v.Persona.ID == id })
	if i < 0 {
		return nil
	}
	return &e.visits[i]
}

// A check looks at one thing in an exam.
type check func(*exam) []Finding

// checks are all of them, in the order in which findings of the same severity are
// told. Each has a file of its own.
var checks = []check{
	reachable,
	offered,
	masked,
	personas,
	executed,
	inClear,
	smugglable,
	delivered,
	ticketOrder,
	resumption,
	versions,
	certificate,
	chain,
	clientCertificate,
	steady,
}

// turns lets exams of one address come one after the other: hosts of a domain, and
// targets, may share it, and it has to bear no more for that.
type turns struct {
	mu    sync.Mutex
	lines map[netip.AddrPort]*line
}

// ahead is for all probers: an address does not care whose visitors come.
var ahead = turns{lines: make(map[netip.AddrPort]*line)}

// A line is who wants to examine an address.
type line struct {
	first chan struct{} // full while it is somebody's turn
	all   int           // guarded by turns.mu
}

// take waits for its turn at an address, and returns what ends it. Where ctx ends
// first there is none: no visit would begin any more.
func (t *turns) take(ctx context.Context, addr netip.AddrPort) (end func()) {
	l := t.join(addr)
	select {
	case l.first <- struct{}{}:
		return func() {
			<-l.first
			t.leave(addr, l)
		}
	case <-ctx.Done():
		t.leave(addr, l)
		return func() {}
	}
}

func (t *turns) join(addr netip.AddrPort) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lines[addr]
	if l == nil {
		l = &line{first: make(chan struct{}, 1)}
		t.lines[addr] = l
	}
	l.all++
	return l
}

func (t *turns) leave(addr netip.AddrPort, l *line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.all--; l.all == 0 {
		delete(t.lines, addr)
	}
}
