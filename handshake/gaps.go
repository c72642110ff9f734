package handshake

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"postern/internal/tlsrecord"
)

// Gaps is what a packet capture lacks of a handshake. Bytes whose place among the messages
// is known, since the header of their record or message was captured, are no gap.
type Gaps struct {
	// Only is the one side whose bytes were captured; UnknownSide if both were.
	Only Side `json:"only,omitzero"`

	// LateStart reports that the handshake had begun before the capture did.
	LateStart bool `json:"late_start,omitempty"`

	// Client and Server count the bytes of each side that are missing.
	Client int `json:"client,omitempty"`
	Server int `json:"server,omitempty"`

	// Exchanged counts the bytes that both sides sent after the handshake, as far as that
	// shows.
	Exchanged int `json:"exchanged,omitempty"`
}

// IsZero reports whether nothing is missing.
func (g Gaps) IsZero() bool { return g == Gaps{} }

// Undecided reports whether the recording lacks too much of the handshake to say that it
// failed: what seems not to have been sent may not have been captured. An alert that ended
// the handshake, and could be read, decides.
func (t *Transcript) Undecided() bool {
	return !t.Gaps.IsZero() && !t.Completed && !t.endedByReadAlert()
}

func (t *Transcript) endedByReadAlert() bool {
	if t.End.Kind != EndAlert || t.End.After < 1 || t.End.After > len(t.Messages) {
		return false
	}
	return t.Messages[t.End.After-1].Alert != nil
}

// presumed reports that the handshake is taken for complete although not all of it was seen.
func (t *Transcript) presumed() bool {
	return t.Completed && (!t.Gaps.IsZero() || t.View == OnWire && !t.finished())
}

// isGap reports whether m is a gap: bytes that were not captured. A plaintext record of a type
// that TLS does not have looks the same; TLS libraries send none.
func (m *Message) isGap() bool { return m.Type == TypeUnknown && !m.Encrypted && m.Missing == 0 }

// lacks reports whether bytes of a side are missing.
func (g Gaps) lacks(side Side) bool {
	switch side {
	case Client:
		return g.LateStart || g.Client > 0 || g.Only == Server
	case Server:
		return g.LateStart || g.Server > 0 || g.Only == Client
	}
	return false
}

// describe returns what is missing, in words.
func (g Gaps) describe() string {
	var parts []string
	if g.Only != UnknownSide {
		parts = append(parts, "only the "+g.Only.String()+"'s side was captured")
	}
	if g.LateStart {
		parts = append(parts, "the handshake began before the capture")
	}
	if g.Client > 0 && g.Only != Server {
		parts = append(parts, count(g.Client)+" of the client's handshake were not captured")
	}
	if g.Server > 0 && g.Only != Client {
		parts = append(parts, count(g.Server)+" of the server's handshake were not captured")
	}
	return strings.Join(parts, ", and ")
}

// describeExchange returns what was sent after the handshake.
func (g Gaps) describeExchange() string {
	if g.Exchanged == 0 {
		return ""
	}
	return "both sides went on to exchange " + count(g.Exchanged)
}

// count returns a number of bytes in words.
func count(n int) string {
	switch {
	case n == 1:
		return "1 byte"
	case n < 10_000:
		return fmt.Sprintf("%d bytes", n)
	case n < 10_000_000:
		return fmt.Sprintf("%d KB", n/1000)
	}
	return fmt.Sprintf("%d MB", n/1_000_000)
}

// An exchange follows the encrypted records of both sides, and what is missing between
// them, to see whether they went on after the handshake.
type exchange struct {
	turns  int  // how often the sender changed, counted from the server's first record
	last   Side // that sent the last record
	after  int  // bytes from the third turn on
	data   [Server + 1]int
	record bool // after has a record, not only gaps
}

// add notes a record with that many bytes of content, some of which may be missing. Alerts
// do not count.
func (x *exchange) add(from Side, size int, holed bool) {
	if x.next(from, size) && !holed {
		x.data[from] += size
		x.record = x.record || x.turns >= finishedTurn
	}
}

// next notes that many bytes of content, which may be missing, and reports whether they
// count.
func (x *exchange) next(from Side, size int) bool {
	if size <= alertLen || x.turns == 0 && from == Client { // before the server's first: a ClientHello, or early data
		return false
	}
	if x.last != from {
		x.last = from
		x.turns++
	}
	if x.turns >= finishedTurn {
		x.after += size
	}
	return true
}

// gap notes that many bytes that are missing.
func (x *exchange) gap(from Side, n int) { x.next(from, n-gapOverhead) }

// finishedTurn is the first turn that follows a handshake: in TLS 1.3 the server's flight and
// the client's come before it, and the server's next records are tickets or data.
const finishedTurn = 3

// wentOn reports whether a capture shows that both sides went on after the handshake, whose
// last messages may be missing or hard to tell apart. Before TLS 1.3 a server's data
// shows that too. When both sides have gaps, their order is uncertain: then a record has to
// show it.
func (r *Recorder) wentOn(t *Transcript) bool {
	if t.View != OnWire || t.hasFatalAlert() {
		return false
	}
	x := &r.exchange
	return x.turns >= finishedTurn && (x.record || t.Gaps.Only != UnknownSide) || r.isBeforeTLS13() && x.data[Server] > 0
}

// clientWentOn reports whether the client sent more than the end of the handshake.
func (x *exchange) clientWentOn() bool {
	return x.turns > finishedTurn || x.data[Client] > maxFinishedRecord
}

// exchanged returns how many bytes passed that are not part of the handshake.
func (r *Recorder) exchanged() int {
	if r.isBeforeTLS13() {
		return max(r.exchange.after, r.exchange.data[Client]+r.exchange.data[Server])
	}
	return r.exchange.after
}

// hasFatalAlert reports whether an alert was read that ends a handshake.
func (t *Transcript) hasFatalAlert() bool {
	return slices.ContainsFunc(t.Messages, func(m Message) bool { return m.Type == TypeAlert && m.Alert != nil && endsWith(m, true) })
}

// gapOverhead is how much more than the content of an alert a gap has at most that holds
// nothing else: a ChangeCipherSpec, the record's header, type and tag (RFC 8446, Section
// 5.2), and TCP's FIN.
const gapOverhead = tlsrecord.HeaderLen + 1 + tlsrecord.HeaderLen + 1 + 16 + 1

// SetOnlySide notes that a capture has bytes of one side only.
func (r *Recorder) SetOnlySide(side Side) { r.t.Gaps.Only = side }

// SetLateStart notes that TLS began before the capture.
func (r *Recorder) SetLateStart() { r.t.Gaps.LateStart = true }

// isTLS13 reports whether v is TLS 1.3, or one of its drafts (0x7f00 and a number), which
// captures of 2016 to 2018 have.
func (v Version) isTLS13() bool { return v == tls.VersionTLS13 || v>>8 == 0x7f }
