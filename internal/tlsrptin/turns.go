package tlsrptin

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

// turns bound how many do something at a time. The networks that wait take turns: many messages
// from one delay those of each other network by one.
type turns struct {
	mu      sync.Mutex
	free    int
	waiting map[netip.Prefix][]chan struct{} // closed when it is their turn
	next    []netip.Prefix                   // of waiting, in order
}

func newTurns(atOnce int) *turns {
	return &turns{free: atOnce, waiting: make(map[netip.Prefix][]chan struct{})}
}

// do waits for a turn and calls f. If ctx ends before that, it returns errBusy.
func (t *turns) do(ctx context.Context, from netip.Prefix, f func()) error {
	turn := t.ask(from)
	select {
	case <-turn:
	case <-ctx.Done():
		if t.withdraw(from, turn) {
			return errBusy
		} // else it has come meanwhile
	}
	defer t.give()
	f()
	return nil
}

// ask returns a channel that is closed when it is the caller's turn.
func (t *turns) ask(from netip.Prefix) (turn chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	turn = make(chan struct{})
	if t.free > 0 { // then none waits
		t.free--
		close(turn)
		return turn
	}
	if len(t.waiting[from]) == 0 {
		t.next = append(t.next, from)
	}
	t.waiting[from] = append(t.waiting[from], turn)
	return turn
}

// withdraw reports whether a turn has not come yet. It does not come any more then.
func (t *turns) withdraw(from netip.Prefix, turn chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.waiting[from], turn)
	if i < 0 {
		return false
	}
	t.waiting[from] = slices.Delete(t.waiting[from], i, i+1)
	if len(t.waiting[from]) == 0 {
		delete(t.waiting, from)
		t.next = slices.DeleteFunc(t.next, func(p netip.Prefix) bool { return p == from })
	}
	return true
}

// give gives a turn to the next network.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.next) == 0 {
		t.free++
		return
	}
	from := t.next[0]
	t.next = t.next[1:]
	first := t.waiting[from][0]
	if rest := t.waiting[from][1:]; len(rest) > 0 {
		t.waiting[from] = rest
		t.next = append(t.next, from)
	} else {
		delete(t.waiting, from)
	}
	close(first)
}
