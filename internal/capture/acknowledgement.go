package capture

import (
	"time"

	"postern/handshake"
)

// acknowledgements follow what the server has sent in TLS and the client has acknowledged, in
// sequence numbers (RFC 9293, Section 3.4).
type acknowledgements struct {
	sent  [2]uint32 // by sending endpoint: after its last byte
	acked [2]uint32 // by sending endpoint: the highest acknowledgement
	known [2]bool   // by sending endpoint: acked is set
	any   [2]bool   // by sending endpoint: sent is set
	last  time.Time // of the latest segment

	server   int    // endpoint, when TLS has begun
	first    uint32 // its first byte of TLS
	began    bool
	ended    bool // nothing counts any more
	resetACK bool // the latest segment is a reset that acknowledges
	blind    bool // what was not acknowledged may have arrived
}

// note notes a segment from endpoint i.
func (a *acknowledgements) note(i int, seg *segment) {
	if a.ended {
		return
	}
	a.last = seg.at
	a.resetACK = seg.rst && seg.hasACK
	if end := seg.end(); !seg.rst && !seg.syn && (!a.any[i] || seqDiff(end, a.sent[i]) > 0) {
		a.sent[i], a.any[i] = end, true
	}
	other := 1 - i
	sane := a.any[other] && seqDiff(seg.ack, a.sent[other]) <= 1 // a FIN counts too
	if seg.hasACK && sane && (!a.known[other] || seqDiff(seg.ack, a.acked[other]) > 0) {
		a.acked[other], a.known[other] = seg.ack, true
	}
}

// begin notes that TLS has begun, and the server's first byte of it.
func (a *acknowledgements) begin(server int, first uint32) {
	a.server, a.first, a.began = server, first, true
}

// end notes that the client has ended the connection. A reset without an acknowledgement does
// not say what had arrived.
func (a *acknowledgements) end(kind handshake.EndKind) {
	a.ended = true
	a.blind = kind == handshake.EndReset && !a.resetACK
}

// state returns how much of what the server sent has been acknowledged. In a capture that
// lacks packets, an acknowledgement may be among them.
func (a *acknowledgements) state(incomplete bool) handshake.Acknowledged {
	sent, acked := a.sent[a.server], a.acked[a.server]
	switch {
	case !a.began || !a.any[a.server] || !a.known[a.server] || seqDiff(sent, a.first) <= 0:
		return handshake.AckUnknown
	case seqDiff(acked, sent) >= 0:
		return handshake.AckAll
	case a.blind || incomplete:
		return handshake.AckUnknown
	case seqDiff(acked, a.first) <= 0:
		return handshake.AckNone
	}
	return handshake.AckPart
}

// serverBegin returns the sequence number of the server's first byte of TLS: the next one,
// less those that began TLS.
func (c *connection) serverBegin() uint32 {
	first := c.streams[1-c.client].next
	for _, p := range c.dialogue.tls {
		if p.from == handshake.Server {
			first -= uint32(len(p.data))
		}
	}
	return first
}
