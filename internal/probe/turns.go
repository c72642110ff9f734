package probe

import (
	"context"
	"net/netip"
	"sync"
)

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
