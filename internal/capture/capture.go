// Package capture reads the mail conversations in a packet capture, pcap or pcapng,
// and the TLS handshakes in them as transcripts.
//
//	r, err := capture.NewReader(file, capture.Options{})
//	for {
//		c, err := r.Next() // io.EOF after the last
//		...
//		fmt.Fprint(w, c.Transcript.Diagram(handshake.DiagramOptions{}))
//	}
//
// Packets may come out of order, twice, overlapping, cut short, or not at all; many
// connections may be mixed; a connection may have begun before the capture. TLS is
// found at the first byte, or after STARTTLS in SMTP, LMTP, IMAP and POP3. What the
// capture lacks is told: in [Conversation.MissingBytes] and in the transcript.
//
// # Limits
//
// The file is read once, from its beginning to its end, and may be of any size.
// 4,096 connections are followed at once, with at most 32 MiB of bytes that came
// too early. Ethernet (with VLAN tags), Linux cooked (both versions), BSD loopback and plain IP are read; IP
// fragments are counted and left out.
//
// The order of both sides' words is that of their packets, where TCP's
// acknowledgements do not say otherwise. A capture put together from several taps
// whose clocks differ can be wrong in that.
package capture

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"postern/handshake"
)

// Options say how to read a capture.
type Options struct {
	// Keys open encrypted records; nil: their messages are told by order and size.
	Keys handshake.Keys
}

// A Reader reads the conversations of one capture. It is not safe for concurrent use.
type Reader struct {
	source  source
	decoder *decoder
	table   table
	tally   Stats
	err     error // why nothing more comes
}

// NewReader reads the beginning of a capture; it may be compressed with gzip. It
// returns [ErrFormat] if r is none, or wraps the error of r.
func NewReader(r io.Reader, o Options) (*Reader, error) {
	source, err := newSource(r)
	if err != nil {
		return nil, err
	}
	reader := &Reader{source: source, decoder: newDecoder()}
	reader.table = table{keys: o.Keys, tally: &reader.tally, open: make(map[[2]netip.AddrPort]*list.Element)}
	return reader, nil
}

// Next returns a conversation that has ended, or, when the file is read, one that
// had not. After the last it returns [io.EOF]; if the file is damaged or ends within
// a packet, all that was read before comes first and then the error.
func (r *Reader) Next() (*Conversation, error) {
	for len(r.table.results) == 0 {
		if r.err != nil {
			return nil, r.err
		}
		r.step()
	}
	c := r.table.results[0]
	r.table.results = r.table.results[1:]
	return c, nil
}

// Stats returns what was counted so far.
func (r *Reader) Stats() Stats { return r.tally }

// step reads a packet.
func (r *Reader) step() {
	f, err := r.source.next()
	if err != nil {
		r.table.finishAll()
		r.err = r.ending(err)
		return
	}
	r.tally.Packets++
	seg, err := r.decoder.decode(f)
	if err != nil {
		r.tally.note(err)
		return
	}
	seg.number = r.tally.Packets
	r.table.take(seg)
}

// ending is what to return after the last conversation.
func (r *Reader) ending(err error) error {
	switch {
	case err == io.EOF && r.tally.Packets > 0 && r.tally.UnknownLink == r.tally.Packets:
		return errors.New("capture: every packet is of a link type that is not read: capture Ethernet or \"any\" instead")
	case err == io.EOF:
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("capture: the file ends within packet %d: %w", r.tally.Packets+1, err)
	}
	return fmt.Errorf("capture: packet %d: %w", r.tally.Packets+1, err)
}

// A Conversation is one TCP connection that mail or TLS was seen on. Its texts are
// what strangers sent, byte for byte: escape them before they reach a terminal.
type Conversation struct {
	Client, Server netip.AddrPort

	// Start is when its first packet was captured, Packets how many there are.
	Start   time.Time
	Packets int

	// MidStream reports that the capture begins later than the connection. Which
	// side is the client is then told by what they said, or by the ports.
	MidStream bool

	// MissingBytes counts the bytes of both sides that the capture lacks: packets that were
	// not captured, or not whole.
	MissingBytes int

	// Protocol is what was spoken in the clear.
	Protocol Protocol

	// Banner is the first line of the server's greeting, EHLO what the client
	// called itself in EHLO, HELO or LHLO; each at most 512 bytes.
	Banner, EHLO string

	// StartTLS reports that the client asked for TLS, Refusal the server's answer
	// where that was no.
	StartTLS bool
	Refusal  string

	// Mail reports that the client sent a MAIL command in the clear.
	Mail bool

	// Transcript is the handshake, its View [handshake.OnWire]; nil if TLS did not begin.
	Transcript *handshake.Transcript

	number int // of its first packet
}

// A Stats counts what a capture holds, so that what was not read is told.
type Stats struct {
	Packets     int // all
	UnknownLink int // those of a link type that is not read
	NotTCP      int // those that are not TCP over IP
	Fragments   int // of IP packets; they are not put together
	Malformed   int // those whose headers do not parse, or were cut
	Connections int // of TCP
	Evicted     int // those given up at their last packet so far, since others needed the room
}

// note counts a packet that is no segment.
func (t *Stats) note(why error) {
	switch why {
	case errLink:
		t.UnknownLink++
	case errFragment:
		t.Fragments++
	case errBroken:
		t.Malformed++
	default:
		t.NotTCP++
	}
}
