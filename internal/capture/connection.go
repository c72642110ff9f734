package capture

import (
	"bytes"
	"cmp"
	"container/list"
	"net/netip"
	"slices"
	"time"

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
	tally   *Stats
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
		t.tally.Evicted++
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
	return seg.syn && !seg.acks && (c.finished || c.MidStream || s.known && s.initial != seg.first())
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

// A connection is a TCP connection while its packets come.
type connection struct {
	Conversation
	ends     [2]netip.AddrPort
	streams  [2]stream
	client   int       // which end is the client's; unknown: not yet told
	clock    time.Time // of what passed last
	keys     handshake.Keys
	dialogue dialogue
	recorder *handshake.Recorder // nil until TLS begins
	closed   bool                // no more is to come
	finished bool                // and nothing is kept but that
}

func newConnection(ends [2]netip.AddrPort, first *segment, keys handshake.Keys) *connection {
	c := &connection{ends: ends, client: unknown, keys: keys}
	c.Start, c.MidStream, c.number = first.at, !first.syn, first.number
	c.dialogue.c = &c.Conversation
	return c
}

// take takes the next segment that end i sent.
func (c *connection) take(i int, seg segment) {
	c.Packets++
	if seg.syn && c.client == unknown {
		c.client = opener(i, &seg)
	}
	if seg.acks && (len(seg.data)+seg.cut > 0 || seg.fin || seg.rst) {
		c.streams[1-i].skip(seg.ack, func(p piece) { c.pass(1-i, p) })
	}
	if !seg.rst {
		c.streams[i].take(seg, func(p piece) { c.pass(i, p) })
		c.closed = c.streams[0].ended && c.streams[1].ended
		return
	}
	// A reset from before is none (RFC 9293, Section 3.10.7.4).
	if s := &c.streams[i]; !s.known || after(seg.seq, s.next) >= 0 {
		c.flush()
		c.at(seg.at)
		c.end(handshake.EndReset, i)
		c.closed = true
	}
}

// pass takes what comes next of what end i sent.
func (c *connection) pass(i int, p piece) {
	c.at(p.at)
	if c.client == unknown {
		c.client = c.guess(i, p.data)
	}
	if p.lost > 0 {
		c.lose(i, p.lost)
	}
	if len(p.data) > 0 {
		c.hear(words{c.side(i), p.data, c.clock})
	}
	if p.fin {
		c.end(handshake.EndClosed, i)
	}
}

// at moves the clock. What waited for an earlier segment passes with that one.
func (c *connection) at(t time.Time) {
	if t.After(c.clock) {
		c.clock = t
	}
}

// hear gives words to the recorder once TLS has begun.
func (c *connection) hear(w words) {
	if c.recorder != nil {
		c.recorder.Feed(w.from, w.said, w.at)
		return
	}
	c.dialogue.hear(w)
	if c.dialogue.tls == nil {
		return
	}
	c.recorder = handshake.NewRecorder(handshake.OnWire, c.dialogue.tls[0].at)
	c.recorder.SetAddresses(c.ends[c.client], c.ends[1-c.client])
	if c.keys != nil {
		c.recorder.UseKeys(listener{c.keys, c.recorder})
	}
	switch c.ends[1-c.client].Port() {
	case 465, 993, 995: // RFC 8314, Section 7: TLS from the first byte, and the server greets
		c.recorder.ServerFirst()
	}
	for _, w := range c.dialogue.tls {
		c.recorder.Feed(w.from, w.said, w.at)
	}
	c.dialogue.tls = nil
}

func (c *connection) lose(i, n int) {
	c.MissingBytes += n
	if c.recorder != nil {
		c.recorder.Gap(c.side(i), n, c.clock)
		return
	}
	c.dialogue.lose(c.side(i))
}

func (c *connection) end(how handshake.EndKind, i int) {
	if c.recorder != nil {
		c.recorder.End(handshake.End{Kind: how, By: c.side(i)})
	}
}

// flush passes all that still waits, in the order of its packets.
func (c *connection) flush() {
	for {
		i := 0
		a, b := c.streams[0].waiting, c.streams[1].waiting
		switch {
		case len(a)+len(b) == 0:
			return
		case len(a) == 0, len(b) > 0 && b[0].number < a[0].number:
			i = 1
		}
		c.streams[i].skip(c.streams[i].waiting[0].first(), func(p piece) { c.pass(i, p) })
	}
}

// conclude ends the conversation and lets its memory go. It returns nil where
// neither mail nor TLS was seen.
func (c *connection) conclude() *Conversation {
	c.flush()
	c.finished = true
	found := c.Conversation
	if c.client != unknown {
		found.Client, found.Server = c.ends[c.client], c.ends[1-c.client]
	}
	if c.recorder != nil {
		found.Transcript = c.recorder.Transcript()
	}
	c.streams, c.dialogue, c.recorder = [2]stream{}, dialogue{}, nil
	if found.Transcript == nil && found.Protocol == None {
		return nil
	}
	return &found
}

// kept is how many bytes wait for others.
func (c *connection) kept() int { return c.streams[0].kept + c.streams[1].kept }

// unknown is the client's end before it is told.
const unknown = -1

// opener is the end of a connection that opened it, by a SYN of end i.
func opener(i int, syn *segment) int {
	if syn.acks { // the second of three (RFC 9293, Section 3.5)
		return 1 - i
	}
	return i
}

func (c *connection) side(i int) handshake.Side {
	if i == c.client {
		return handshake.Client
	}
	return handshake.Server
}

// guess tells which end is the client of a connection whose beginning was not
// captured, by what end i said first, else by the ports: servers have the lower one.
func (c *connection) guess(i int, said []byte) int {
	const hello, clientHello, serverHello = 22, 1, 2
	line, _, _ := bytes.Cut(said, []byte("\n"))
	switch {
	case len(said) > 5 && said[0] == hello && said[5] == clientHello, ofClient(line) != None:
		return i
	case len(said) > 5 && said[0] == hello && said[5] == serverHello, ofServer(line) != None:
		return 1 - i
	case c.ends[0].Port() < c.ends[1].Port():
		return 1
	}
	return 0
}
