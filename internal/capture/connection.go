package capture

import (
	"bytes"
	"cmp"
	"container/list"
	"net/netip"
	"slices"
	"time"

	"postern/handshake"
	"postern/internal/tlsrecord"
)

const (
	// maxConnections bounds the connections in the table, including finished ones.
	maxConnections = 4096
	// maxTablePending bounds the pending segments of all connections together.
	maxTablePending = 32 << 20
)

// A table has the connections of a capture.
type table struct {
	keys        handshake.Keys
	stats       *Stats
	connections map[[2]netip.AddrPort]*list.Element // by endpoints, in the order of their addresses
	byActivity  list.List                           // of *connection, least recently active first
	pendingCost int
	results     []*Conversation
}

// add adds a segment to its connection.
func (t *table) add(seg segment) {
	endpoints, i := [2]netip.AddrPort{seg.from, seg.to}, 0
	if seg.from.Compare(seg.to) > 0 {
		endpoints, i = [2]netip.AddrPort{seg.to, seg.from}, 1
	}
	c := t.connection(endpoints, i, &seg)
	if c.finished {
		return
	}
	before := c.pendingCost()
	c.add(i, seg)
	t.pendingCost += c.pendingCost() - before
	if t.pendingCost > maxTablePending {
		t.pendingCost -= c.pendingCost()
		c.flush()
	}
	if c.closed {
		t.finish(c)
	}
}

// connection returns the connection between two endpoints, a new one if seg begins one.
func (t *table) connection(endpoints [2]netip.AddrPort, i int, seg *segment) *connection {
	e := t.connections[endpoints]
	if e != nil {
		if c := e.Value.(*connection); !c.replacedBy(i, seg) {
			t.byActivity.MoveToBack(e)
			return c
		}
		t.remove(e)
	}
	if len(t.connections) == maxConnections {
		oldest := t.byActivity.Front()
		if !oldest.Value.(*connection).finished {
			t.stats.Evicted++
		}
		t.remove(oldest)
	}
	t.stats.Connections++
	c := newConnection(endpoints, seg, t.keys)
	t.connections[endpoints] = t.byActivity.PushBack(c)
	return c
}

// replacedBy reports whether a segment begins a new connection between the same endpoints.
func (c *connection) replacedBy(i int, seg *segment) bool {
	s := &c.streams[i]
	return seg.syn && !seg.hasACK && (c.finished || c.MidStream || s.started && s.initial != seg.start())
}

func (t *table) remove(e *list.Element) {
	c := t.byActivity.Remove(e).(*connection)
	delete(t.connections, c.endpoints)
	t.finish(c)
}

// finish adds a connection to the results. The connection stays in the table, so that
// late segments do not begin a new one.
func (t *table) finish(c *connection) {
	if c.finished {
		return
	}
	t.pendingCost -= c.pendingCost()
	if result := c.finish(); result != nil {
		t.results = append(t.results, result)
	} else if c.underway {
		t.stats.Underway++
	}
}

// finishAll finishes all connections, in the order in which they began.
func (t *table) finishAll() {
	before := len(t.results)
	for t.byActivity.Len() > 0 {
		t.remove(t.byActivity.Front())
	}
	slices.SortFunc(t.results[before:], func(a, b *Conversation) int { return cmp.Compare(a.number, b.number) })
}

// A connection is a TCP connection that is being read.
type connection struct {
	Conversation
	endpoints   [2]netip.AddrPort
	streams     [2]stream // by sending endpoint
	client      int       // index of the client's endpoint, or unknownEndpoint
	now         time.Time // of the latest data
	keys        handshake.Keys
	dialogue    dialogue
	captured    [2]int              // bytes by sending endpoint
	missing     [2]int              // likewise
	hasHello    bool                // TLS begins with a ClientHello, as far as its first bytes show
	underway    bool                // TLS had begun before the capture, and shows nothing of its handshake
	recorder    *handshake.Recorder // nil until TLS starts
	inPlaintext plaintextDialogue
	began       time.Time // when it did
	acks        acknowledgements
	ended       bool // by FIN or RST of one side
	closed      bool // by FIN from both sides, or by RST
	finished    bool
}

// unknownEndpoint is the client's endpoint before it is known.
const unknownEndpoint = -1

func newConnection(endpoints [2]netip.AddrPort, first *segment, keys handshake.Keys) *connection {
	c := &connection{endpoints: endpoints, client: unknownEndpoint, keys: keys}
	c.Start, c.MidStream, c.number = first.at, !first.syn, first.number
	c.dialogue.c = &c.Conversation
	return c
}

// add adds the next segment from endpoint i.
func (c *connection) add(i int, seg segment) {
	c.Packets++
	if seg.syn && c.client == unknownEndpoint {
		c.client = i
		if seg.hasACK { // the server's SYN (RFC 9293, Section 3.5)
			c.client = 1 - i
		}
	}
	c.acks.note(i, &seg)
	if seg.syn {
		c.streams[i].syn(&seg)
	}
	if seg.hasACK && !seg.rst {
		c.streams[1-i].acknowledged(seg.ack, func(s segment) { c.receive(1-i, s) })
	}
	if seg.hasACK && (len(seg.data)+seg.truncated > 0 || seg.fin || seg.rst) {
		if c.streams[1-i].lacks(seg.ack) { // what this side sent before comes first
			c.streams[i].skipPending(func(s segment) { c.receive(i, s) })
			c.streams[1-i].skipTo(seg.ack, func(s segment) { c.receive(1-i, s) })
		}
	}
	if !seg.rst {
		c.streams[i].add(seg, func(s segment) { c.receive(i, s) })
		c.closed = c.streams[0].ended && c.streams[1].ended
		return
	}
	// An RST before the window is ignored (RFC 9293, Section 3.10.7.4).
	if s := &c.streams[i]; !s.started || seqDiff(seg.seq, s.next) >= 0 {
		c.flush()
		c.advance(seg.at)
		c.end(handshake.EndReset, i)
		c.closed = true
	}
}

// receive processes the next data from endpoint i.
func (c *connection) receive(i int, s segment) {
	c.advance(s.at)
	if c.client == unknownEndpoint {
		c.client = c.guessClient(i, s.data)
	}
	if s.missing > 0 {
		c.gap(i, s.missing)
	}
	if len(s.data) > 0 {
		c.feed(payload{c.side(i), s.data, c.now})
		c.captured[i] += len(s.data)
	}
	if s.fin {
		c.end(handshake.EndClosed, i)
	}
}

// advance moves the time forward. Pending data has the time of the segment that it
// waited for.
func (c *connection) advance(t time.Time) {
	if t.After(c.now) {
		c.now = t
	}
}

// side returns the side of endpoint i.
func (c *connection) side(i int) handshake.Side {
	if i == c.client {
		return handshake.Client
	}
	return handshake.Server
}

// guessClient returns the client's endpoint of a connection whose SYN was not captured:
// by the first data, from endpoint i, otherwise by the ports, since servers usually have
// the lower one.
func (c *connection) guessClient(i int, data []byte) int {
	const serverHello = 2 // RFC 8446, Section 4
	line, _, _ := bytes.Cut(data, []byte("\n"))
	switch {
	case beginsClientHello(data), clientProtocol(line) != None:
		return i
	case handshakeType(data) == serverHello, serverProtocol(line) != None:
		return 1 - i
	case c.endpoints[0].Port() < c.endpoints[1].Port():
		return 1
	}
	return 0
}

// beginsClientHello reports whether a ClientHello begins with data.
func beginsClientHello(data []byte) bool {
	const clientHello = 1 // RFC 8446, Section 4
	return handshakeType(data) == clientHello || tlsrecord.BeginsSSL2Hello(data)
}

// handshakeType returns the type of the handshake message that a record begins with, 0 if
// data begins with none.
func handshakeType(data []byte) byte {
	if len(data) > tlsrecord.HeaderLen && data[0] == tlsrecord.Handshake {
		return data[tlsrecord.HeaderLen]
	}
	return 0
}

// feed passes data to the dialogue until TLS starts, and then to the recorder.
func (c *connection) feed(p payload) {
	if c.recorder != nil {
		c.recorder.Feed(p.from, p.data, p.at)
		c.inPlaintext.feed(p)
		return
	}
	c.underway = c.underway || c.MidStream && c.captured == [2]int{} && tlsrecord.Begins(p.data)
	c.dialogue.feed(p)
	if c.dialogue.tls == nil {
		return
	}
	c.recorder = handshake.NewRecorder(handshake.OnWire, c.dialogue.tls[0].at)
	c.recorder.SetAddresses(c.endpoints[c.client], c.endpoints[1-c.client])
	if c.keys != nil {
		c.recorder.UseKeys(mailKeys{c.keys, c.recorder})
	}
	switch c.endpoints[1-c.client].Port() {
	case 465, 993, 995: // RFC 8314, Section 7: implicit TLS, and the server sends a greeting
		c.recorder.ServerFirst()
	}
	c.began = c.dialogue.tls[0].at
	c.acks.begin(1-c.client, c.serverBegin())
	c.hasHello = c.dialogue.tls[0].from == handshake.Client && beginsClientHello(c.dialogue.tls[0].data)
	c.noteGapBeforeTLS()
	c.inPlaintext.start(c.StartTLS)
	for _, p := range c.dialogue.tls {
		c.recorder.Feed(p.from, p.data, p.at)
		c.inPlaintext.feed(p)
	}
	c.dialogue.tls = nil
}

// noteGapBeforeTLS tells the recorder if the first bytes of TLS are missing. How many of the
// missing bytes were plaintext is not known.
func (c *connection) noteGapBeforeTLS() {
	for i := range c.missing {
		side := c.side(i)
		if !c.dialogue.lineBuffer(side).gap {
			continue
		}
		has := func(side handshake.Side) int {
			return slices.IndexFunc(c.dialogue.tls, func(p payload) bool { return p.from == side && len(p.data) > 0 })
		}
		at := has(side)
		if at >= 0 && !c.dialogue.tls[at].beginsTLS() || at < 0 && side == handshake.Client && has(handshake.Server) >= 0 {
			c.recorder.Gap(side, c.missing[i], c.now)
		}
	}
}

// gap records that n bytes from endpoint i are missing.
func (c *connection) gap(i, n int) {
	c.MissingBytes += n
	c.missing[i] += n
	if c.recorder != nil {
		c.recorder.Gap(c.side(i), n, c.now)
		return
	}
	c.dialogue.gap(c.side(i))
}

// end records how endpoint i ended the connection.
func (c *connection) end(kind handshake.EndKind, i int) {
	if c.recorder == nil || c.ended {
		return
	}
	c.ended = true
	if i == c.client { // what the client acknowledges later, it does not read
		c.acks.end(kind)
	}
	c.recorder.End(handshake.End{Kind: kind, By: c.side(i), At: c.now.Sub(c.began)})
}

// flush delivers all pending segments, in the order of their packets.
func (c *connection) flush() {
	for {
		i := 0
		a, b := c.streams[0].pending, c.streams[1].pending
		switch {
		case len(a)+len(b) == 0:
			for i := range c.streams {
				c.streams[i].settleAtEnd(func(s segment) { c.receive(i, s) })
			}
			return
		case len(a) == 0, len(b) > 0 && b[0].number < a[0].number:
			i = 1
		}
		c.streams[i].skipTo(c.streams[i].pending[0].start(), func(s segment) { c.receive(i, s) })
	}
}

// finish returns the conversation and frees the connection's memory. It returns nil if
// there was neither mail nor TLS.
func (c *connection) finish() *Conversation {
	c.flush()
	c.finished = true
	result := c.Conversation
	if c.client != unknownEndpoint {
		result.Client, result.Server = c.endpoints[c.client], c.endpoints[1-c.client]
	}
	if c.recorder != nil {
		c.recorder.SetAcknowledged(c.acks.state(c.MissingBytes > 0))
		if !c.ended { // the capture ends before the connection
			c.recorder.End(handshake.End{At: c.acks.last.Sub(c.began)})
		}
		c.noteLimits()
		result.Transcript = c.recorder.Transcript()
		c.inPlaintext.apply(&result)
	}
	c.streams, c.dialogue, c.recorder, c.inPlaintext = [2]stream{}, dialogue{}, nil, plaintextDialogue{}
	if result.Transcript == nil && result.Protocol == None {
		return nil
	}
	return &result
}

// noteLimits tells the recorder what of the connection was not captured at all.
func (c *connection) noteLimits() {
	for i := range c.captured {
		if c.captured[1-i] == 0 && c.missing[1-i] > 0 {
			c.recorder.SetOnlySide(c.side(i))
		}
	}
	if c.MidStream && !c.hasHello && c.recorder.Transcript().ClientHello == nil {
		c.recorder.SetLateStart()
	}
}

func (c *connection) pendingCost() int { return c.streams[0].pendingCost + c.streams[1].pendingCost }
