package capture

import (
	"net/netip"
	"time"

	"postern/handshake"
)

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
	c.Start, c.Headless, c.number = first.at, !first.syn, first.number
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
		c.end(handshake.Reset, i)
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
		c.end(handshake.Closed, i)
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
	c.recorder.Addresses(c.ends[c.client], c.ends[1-c.client])
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
	c.Lost += n
	if c.recorder != nil {
		c.recorder.Lose(c.side(i), n, c.clock)
		return
	}
	c.dialogue.lose(c.side(i))
}

func (c *connection) end(how handshake.How, i int) {
	if c.recorder != nil {
		c.recorder.End(handshake.End{How: how, By: c.side(i)})
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
