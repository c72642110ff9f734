package capture

import (
	"cmp"
	"container/list"
	"net/netip"
	"slices"

	"postern/handshake"
)

const (
	// maxOpen bounds the connections that are followed at once, over ones of which
	// only the end is remembered included.
	maxOpen = 4096
	// maxKept bounds what all of them together keep of bytes that came too early.
	maxKept = 32 << 20
)

// A table follows the connections of a capture.
type table struct {
	keys    handshake.Keys
	tally   *Tally
	open    map[[2]netip.AddrPort]*list.Element
	order   list.List // of *connection, the one longest silent first
	kept    int
	results []*Conversation
}

// take gives a segment to its connection.
func (t *table) take(seg segment) {
	ends, i := [2]netip.AddrPort{seg.from, seg.to}, 0
	if seg.from.Compare(seg.to) > 0 {
		ends, i = [2]netip.AddrPort{seg.to, seg.from}, 1
	}
	c := t.connection(ends, i, &seg)
	if c.finished {
		return
	}
	before := c.kept()
	c.take(i, seg)
	t.kept += c.kept() - before
	if t.kept > maxKept {
		t.kept -= c.kept()
		c.flush()
	}
	if c.closed {
		t.finish(c)
	}
}

// connection returns the connection between two ends, the one that seg begins if it begins one.
func (t *table) connection(ends [2]netip.AddrPort, i int, seg *segment) *connection {
	e := t.open[ends]
	if e != nil {
		if c := e.Value.(*connection); !c.replacedBy(i, seg) {
			t.order.MoveToBack(e)
			return c
		}
		t.remove(e)
	}
	if len(t.open) == maxOpen {
		t.tally.Crowded++
		t.remove(t.order.Front())
	}
	t.tally.Connections++
	c := newConnection(ends, seg, t.keys)
	t.open[ends] = t.order.PushBack(c)
	return c
}

// replacedBy reports whether a segment begins another connection between the same ends.
func (c *connection) replacedBy(i int, seg *segment) bool {
	s := &c.streams[i]
	return seg.syn && !seg.acks && (c.finished || c.Headless || s.known && s.initial != seg.first())
}

func (t *table) remove(e *list.Element) {
	c := t.order.Remove(e).(*connection)
	delete(t.open, c.ends)
	t.finish(c)
}

// finish concludes a connection. It stays in the table, so that what still comes is
// not taken for another.
func (t *table) finish(c *connection) {
	if c.finished {
		return
	}
	t.kept -= c.kept()
	if found := c.conclude(); found != nil {
		t.results = append(t.results, found)
	}
}

// finishAll concludes all that are open, in the order in which they began.
func (t *table) finishAll() {
	before := len(t.results)
	for t.order.Len() > 0 {
		t.remove(t.order.Front())
	}
	slices.SortFunc(t.results[before:], func(a, b *Conversation) int { return cmp.Compare(a.number, b.number) })
}
