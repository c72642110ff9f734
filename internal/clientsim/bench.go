package clientsim

import (
	"context"
	"io"
	"sync"
	"sync/atomic"

	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

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
			m.Absent = append(m.Absent, Absence{Name: b.servers[i].Title(), Why: "did not start: " + reason(c.err), Broken: true})
			continue
		}
		played := b.servers[i].Server
		played.Order, played.Cells = orderOf(c.cells), c.cells
		m.Servers = append(m.Servers, played)
	}
}

// A column is what became of the clients at one server, or why it did not play.
type column struct {
	cells []Cell
	err   error
}

func (b *bench) play(ctx context.Context, s *server) (c column) {
	c.err = testpeer.Play(ctx, io.Discard, s.find, func(stage *testpeer.Stage) error {
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
