package relay

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"postern/internal/admission"
)

const (
	// slotWait is how long a message waits for a slot. The sender waits five minutes for
	// the reply to MAIL (RFC 5321, Section 4.5.3.2.2), and after the slot the connection
	// may need two of them.
	slotWait = 30 * time.Second

	// restTime is how long a connection stays open between two messages: enough for a
	// sender that has more of them, and little for a server with a process for each.
	restTime = 5 * time.Second
)

// slots bound the connections to the server. A message has a slot from the first
// command that is sent for it until its last reply. Between messages a connection rests: it
// is closed after restTime, or as soon as another session needs its place.
//
// A network (IPv4 /24, IPv6 /48) gets another slot while it has less than a third of the
// free ones, a wide network (/16, /32) while it has less than all of the free ones. So one
// network can have a quarter of the slots, one wide network a half, and the next ones less and
// less: of 80 slots, some are left until 13 networks in different wide ones have all they may.
// Of those that wait, the network with the fewest slots is next.
type slots struct {
	limit int

	mu      sync.Mutex
	used    int                     // slots of messages
	shares  map[netip.Prefix]*share // of networks and wide networks that have a slot or wait for one
	resting list.List               // of *conn, the one that has rested longest first
	waiting list.List               // of *waiter, in the order of arrival
}

// An origin is where a sender is counted.
type origin struct{ network, wide netip.Prefix }

func originOf(addr netip.Addr) origin {
	return origin{admission.Network(addr), admission.Wide(addr)}
}

func newSlots(limit int) *slots {
	return &slots{limit: limit, shares: make(map[netip.Prefix]*share)}
}

// A share is what one network or wide network has.
type share struct{ used, waiting int }

// share returns the one of p.
func (s *slots) share(p netip.Prefix) *share {
	found := s.shares[p]
	if found == nil {
		found = new(share)
		s.shares[p] = found
	}
	return found
}

// count changes what a network and its wide network have.
func (s *slots) count(from origin, used, waiting int) {
	for _, p := range []netip.Prefix{from.network, from.wide} {
		one := s.share(p)
		one.used += used
		one.waiting += waiting
		if *one == (share{}) {
			delete(s.shares, p)
		}
	}
	s.used += used
}

// A waiter is a message without a slot yet.
type waiter struct {
	from    origin
	network *share
	wide    *share
	conn    *conn         // resting, of the same session; nil if there is none
	evicted *conn         // to be closed for this one
	granted chan struct{} // closed once the slot is there
}

// take waits for a slot. It reports whether own, the resting connection of the session, is
// still open: the session uses it then. A resting one of another session may be closed for
// the slot. If there is no slot in time, take returns errSlots or errShare.
func (s *slots) take(from origin, own *conn) (open bool, err error) {
	w := &waiter{from: from, conn: own}
	if s.takeNow(w) {
		return w.ready(), nil
	}
	timeout := time.NewTimer(slotWait)
	defer timeout.Stop()
	select {
	case <-w.granted:
	case <-timeout.C:
		if err := s.giveUp(w); err != nil {
			return false, err
		}
	}
	return w.ready(), nil
}

// takeNow reports whether w got a slot at once. If not, it waits in the queue.
func (s *slots) takeNow(w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(w.from, 0, 1)
	w.network, w.wide = s.share(w.from.network), s.share(w.from.wide)
	if s.allows(w) { // then it allows none of those that wait, or they would not
		s.grant(w)
		return true
	}
	w.granted = make(chan struct{})
	s.waiting.PushBack(w)
	return false
}

// giveUp ends the wait of w. It returns nil if w has got a slot meanwhile.
func (s *slots) giveUp(w *waiter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.waiting.Front(); e != nil; e = e.Next() {
		if e.Value == w {
			s.waiting.Remove(e)
			s.count(w.from, 0, -1)
			if s.used < s.limit {
				return errShare
			}
			return errSlots
		}
	}
	return nil
}

// ready closes the connection that was evicted for w, and reports whether the session's
// own is still open.
func (w *waiter) ready() bool {
	if w.evicted != nil {
		w.evicted.quit()
	}
	return w.conn != nil
}

// allows reports whether w may have a slot now.
func (s *slots) allows(w *waiter) bool {
	free := s.limit - s.used
	return 3*w.network.used < free && w.wide.used < free
}

// grant gives w a slot.
func (s *slots) grant(w *waiter) {
	s.count(w.from, 1, -1)
	if w.conn != nil && !s.wake(w.conn) {
		w.conn = nil
	}
	if s.used+s.resting.Len() > s.limit {
		w.evicted = s.resting.Front().Value.(*conn)
		s.wake(w.evicted)
	}
}

// wake takes a connection from those that rest, and reports whether it was among them.
func (s *slots) wake(c *conn) bool {
	if c.resting == nil {
		return false
	}
	s.resting.Remove(c.resting)
	c.resting = nil
	c.restTimer.Stop()
	return true
}

// reclaim is wake for a session that closes.
func (s *slots) reclaim(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake(c)
}

// give gives a slot back. Its connection rests from now on; nil if it has none.
func (s *slots) give(from origin, c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(from, -1, 0)
	if c != nil {
		s.rest(c)
	}
	for s.used < s.limit {
		next := s.next()
		if next == nil {
			return
		}
		w := s.waiting.Remove(next).(*waiter)
		s.grant(w)
		close(w.granted)
	}
}

func (s *slots) rest(c *conn) {
	c.resting = s.resting.PushBack(c)
	if c.restTimer != nil {
		c.restTimer.Reset(restTime)
		return
	}
	c.restTimer = time.AfterFunc(restTime, func() {
		if s.reclaim(c) {
			c.quit()
		}
	})
}

// next returns the element of the waiter that gets the next slot, or nil: of those that may
// have one, the one whose network has the fewest, then whose wide network has the fewest, then
// that waits longest.
func (s *slots) next() *list.Element {
	var (
		best  *list.Element
		first *waiter
	)
	for e := s.waiting.Front(); e != nil; e = e.Next() {
		if w := e.Value.(*waiter); s.allows(w) && (first == nil || w.before(first)) {
			best, first = e, w
		}
	}
	return best
}

// before reports whether w gets a slot before v, which has waited longer.
func (w *waiter) before(v *waiter) bool {
	if w.network.used != v.network.used {
		return w.network.used < v.network.used
	}
	return w.wide.used < v.wide.used
}
