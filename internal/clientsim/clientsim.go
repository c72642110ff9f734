// Package clientsim runs test clients against mail servers on loopback and makes a matrix
// of the results: which client's handshakes complete and resume at which server.
//
// The clients are the personas of package persona, and OpenSSL, GnuTLS and swaks if they are
// installed. The servers are go-smtp on crypto/tls, unmodified, over the gate in several modes,
// and without session tickets; on request also the real mail servers that are found. A client
// that is given a session connects again and offers it.
//
// All servers have the same certificate, RSA and trusted, so no handshake fails because of
// it.
//
// # Transcripts
//
// Handshakes are recorded at the client's end: a persona records its own, a real client
// connects through a relay that records. Messages are decrypted with the client's own keys.
// Swaks does not export its keys, so the types of its TLS 1.3 messages are inferred.
//
// # Limits
//
// Everything listens on and connects to 127.0.0.1 only. Three servers run at once, with at
// most two connections each. Whatever [Simulation.Run] starts or writes, it ends or removes.
package clientsim

import (
	"context"
	"io"
	"sync"
	"time"

	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// A Simulation is what to run.
type Simulation struct {
	// Peers are folders with real mail servers, searched before PATH and the usual folders
	// for servers; mox and maddy are called mox-VERSION and maddy-VERSION. Nil: no real
	// servers run.
	Peers []string

	// Timeout bounds the whole simulation. Cells that are not done by then are inconclusive.
	// It must be positive.
	Timeout time.Duration

	// Progress, if not nil, is called with the number of cells that are done and of all. It
	// is called concurrently.
	Progress func(done, all int)
}

const (
	serversAtOnce     = 3
	connectionsAtOnce = 2 // to one server
)

// Run starts the servers, runs each client against each of them, and stops them. The error
// is that of ctx, or that no certificate could be made.
func (s *Simulation) Run(ctx context.Context) (*Matrix, error) {
	limited, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	m := &Matrix{Start: time.Now()}
	err := testpeer.Run(limited, io.Discard, nil, func(scope *testpeer.Scope) error {
		clients, servers := s.find(limited, m)
		m.fill(limited, testcert.New(scope, testcert.Options{RSA: true}), clients, servers, s.counter(len(clients)*len(servers)))
		return nil
	})
	if err == nil {
		err = ctx.Err()
	}
	m.Took = time.Since(m.Start)
	return m, err
}

// find returns the clients and servers, and adds to m those that are missing.
func (s *Simulation) find(ctx context.Context, m *Matrix) (clients []*client, servers []*server) {
	programs := programs(s.Peers)
	for _, p := range persona.All() {
		clients = append(clients, personaClient(p))
	}
	tools, missing := programs.clients(ctx)
	clients, m.Missing = append(clients, tools...), missing
	servers = goServers()
	if s.Peers != nil {
		peers, missing := programs.servers(ctx)
		servers, m.Missing = append(servers, peers...), append(m.Missing, missing...)
	}
	return clients, servers
}

// counter returns a function that reports the progress of one more cell.
func (s *Simulation) counter(all int) func() {
	if s.Progress == nil {
		return func() {}
	}
	var mu sync.Mutex
	done := 0
	return func() {
		mu.Lock()
		done++
		now := done
		mu.Unlock()
		s.Progress(now, all)
	}
}

// fill runs the clients against a few servers at a time, and adds a column for each server
// that started.
func (m *Matrix) fill(ctx context.Context, cert *testcert.Pair, clients []*client, servers []*server, done func()) {
	for _, c := range clients {
		m.Clients = append(m.Clients, c.Client)
	}
	errs := make([]error, len(servers))
	atOnce(serversAtOnce, len(servers), func(i int) {
		s := servers[i]
		errs[i] = testpeer.Run(ctx, io.Discard, s.find, func(scope *testpeer.Scope) error {
			addr := s.start(scope, cert)
			s.Cells = connectAll(ctx, clients, persona.Target{Addr: addr, ServerName: "localhost", RootCAs: cert.Pool}, done)
			s.Tickets = ticketOrder(s.Cells)
			return nil
		})
	})
	for i, s := range servers {
		if errs[i] != nil {
			m.Missing = append(m.Missing, Missing{Name: s.Title(), Why: "did not start: " + reason(errs[i]), Broken: true})
			continue
		}
		m.Servers = append(m.Servers, s.Server)
	}
}

// connectAll runs all clients against a server, a few at a time. The first client is a
// healthy one. It connects once more at the end: if it fails then, but did not before, the
// failures of the others are inconclusive.
func connectAll(ctx context.Context, clients []*client, t persona.Target, done func()) []Cell {
	cells := make([]Cell, len(clients))
	atOnce(connectionsAtOnce, len(clients), func(i int) {
		cells[i] = clients[i].connect(ctx, t)
		done()
	})
	if cells[0].completed() && !clients[0].connect(ctx, t).completed() {
		setInconclusive(cells)
	}
	return cells
}

// atOnce calls f for each i below n, with limit calls at a time.
func atOnce(limit, n int, f func(i int)) {
	slots := make(chan struct{}, limit)
	var running sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	running.Wait()
}
