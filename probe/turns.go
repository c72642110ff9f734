package probe

import (
	"net/netip"
	"sync"
)

// turns lets exams of one address come one after the other: hosts of a domain, and
// targets, may share it, and it has to bear no more for that.
type turns struct {
	mu    sync.Mutex
	lines map[netip.AddrPort]*queue
}

// ahead is for all probers: an address does not care whose visitors come.
var ahead = turns{lines: make(map[netip.AddrPort]*queue)}

// A queue is who wants to examine an address.
type queue struct {
	turn sync.Mutex
	all  int // with the one whose turn it is
}

// take waits for its turn at an address, and returns what ends it.
func (t *turns) take(addr netip.AddrPort) (end func()) {
	t.mu.Lock()
	q := t.lines[addr]
	if q == nil {
		q = new(queue)
		t.lines[addr] = q
	}
	q.all++
	t.mu.Unlock()
	q.turn.Lock()
	return func() {
		q.turn.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if q.all--; q.all == 0 {
			delete(t.lines, addr)
		}
	}
}
