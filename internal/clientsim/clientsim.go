// Package lab lets many clients visit many mail servers on loopback, and tells who got in
// where: the matrix of ticket order and client.
//
// The clients are the personas of package persona, and the real ones that are found
// (OpenSSL, GnuTLS, swaks). The servers are go-smtp on crypto/tls, as it is, behind the gate
// with each of its policies, and with tickets off; and on demand the real ones that are found.
// Each client comes twice if it was given a session: the second time it offers that.
//
// All servers have the same certificate, RSA and trusted, so that it keeps nobody out.
//
// # Transcripts
//
// A handshake is recorded at the client's end: a persona's by itself, a real client's by a relay
// on loopback that passes its bytes on. What is encrypted is opened with the client's own keys.
// Swaks does not give its keys away: its messages of TLS 1.3 are told by order and size.
//
// # Limits
//
// Nothing listens or connects but on 127.0.0.1. Three servers run at once, each with two
// visits at most. What is started ends with [Simulation.Run], and so do its files.
package clientsim

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// A Simulation says what is tried.
type Simulation struct {
	// Peers are the folders to look for real mail servers in, before PATH and the usual
	// folders for servers: mox and maddy as mox-VERSION and maddy-VERSION. Nil: no real
	// servers are looked for.
	Peers []string

	// Timeout bounds the whole. What is not done by then could not be told. It must be positive.
	Timeout time.Duration

	// Progress, when not nil, is told how many cells of how many are done. It is called
	// concurrently.
	Progress func(done, all int)
}

// Run starts the servers, lets each client visit each, and ends the servers. The error is
// that of ctx when it ended, or that this machine has no room for a certificate.
func (l *Simulation) Run(ctx context.Context) (*Matrix, error) {
	limited, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	m := &Matrix{Start: time.Now()}
	err := testpeer.Run(limited, io.Discard, nil, func(s *testpeer.Scope) error {
		m.fill(limited, l.gather(s, m))
		return nil
	})
	if err == nil {
		err = ctx.Err()
	}
	m.Took = time.Since(m.Start)
	return m, err
}

// gather finds servers and clients, and notes those that are not here.
func (l *Simulation) gather(s *testpeer.Scope, m *Matrix) *bench {
	b := &bench{cert: testcert.New(s, testcert.Options{RSA: true}), progress: l.Progress}
	b.servers = goServers()
	for _, p := range persona.All() {
		b.clients = append(b.clients, personaClient(p))
	}
	tools, missing := l.programs().clients(s.Context())
	b.clients, m.Missing = append(b.clients, tools...), missing
	if l.Peers != nil {
		peers, missing := l.programs().servers(s.Context())
		b.servers, m.Missing = append(b.servers, peers...), append(m.Missing, missing...)
	}
	return b
}

func (l *Simulation) programs() programs { return programs(l.Peers) }

const (
	serversAtOnce = 3
	visitsAtOnce  = 2 // at one server
)

// A bench is what the matrix is made of.
type bench struct {
	cert    *testcert.Pair
	servers []*server
	clients []*client

	progress func(done, all int)
	done     atomic.Int64 // cells
}

// tell tells the progress when a cell is done.
func (b *bench) tell() {
	done := b.done.Add(1)
	if b.progress != nil {
		b.progress(int(done), len(b.servers)*len(b.clients))
	}
}

// fill lets each server play, a few at a time, and keeps the columns of those that did.
func (m *Matrix) fill(ctx context.Context, b *bench) {
	columns := make([]column, len(b.servers))
	slots := make(chan struct{}, serversAtOnce)
	var playing sync.WaitGroup
	for i, s := range b.servers {
		playing.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			columns[i] = b.play(ctx, s)
		})
	}
	playing.Wait()
	for _, c := range b.clients {
		m.Clients = append(m.Clients, c.Client)
	}
	for i, c := range columns {
		if c.err != nil {
			m.Missing = append(m.Missing, Missing{Name: b.servers[i].Title(), Why: "did not start: " + reason(c.err), Broken: true})
			continue
		}
		played := b.servers[i].Server
		played.Tickets, played.Cells = orderOf(c.cells), c.cells
		m.Servers = append(m.Servers, played)
	}
}

// A column is what became of the clients at one server, or why it did not play.
type column struct {
	cells []Cell
	err   error
}

func (b *bench) play(ctx context.Context, s *server) (c column) {
	c.err = testpeer.Run(ctx, io.Discard, s.find, func(stage *testpeer.Scope) error {
		addr := s.start(stage, b.cert)
		c.cells = b.visit(ctx, persona.Target{Addr: addr, ServerName: "localhost", RootCAs: b.cert.Pool})
		return nil
	})
	return c
}

// visit lets all clients visit, the first of which is a healthy one. It comes once more at
// last: if it fails then, the failures before say nothing.
func (b *bench) visit(ctx context.Context, t persona.Target) []Cell {
	cells := make([]Cell, len(b.clients))
	slots := make(chan struct{}, visitsAtOnce)
	var visiting sync.WaitGroup
	for i, c := range b.clients {
		slots <- struct{}{}
		visiting.Go(func() {
			defer func() { <-slots }()
			cells[i] = c.visit(ctx, t)
			b.tell()
		})
	}
	visiting.Wait()
	if cells[0].in() && !b.clients[0].visit(ctx, t).in() {
		settle(cells)
	}
	return cells
}
