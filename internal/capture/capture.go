// Package capture reads packet captures (pcap or pcapng): it finds the mail
// connections in them and returns their TLS handshakes as transcripts.
//
//	r, err := capture.NewReader(file, nil)
//	for {
//		c, err := r.Next() // io.EOF after the last
//		...
//		fmt.Fprint(w, c.Transcript.Diagram(handshake.DiagramOptions{}))
//	}
//
// TCP streams are reassembled: packets may be out of order, duplicate, overlapping,
// truncated or missing, connections may be interleaved, and a connection may begin
// before the capture. TLS is recognised at the first byte, or after STARTTLS in SMTP,
// LMTP, IMAP and POP3. [Conversation.MissingBytes] and the transcript show what is
// missing in the capture.
//
// # Limits
//
// The file is read once, front to back, and may have any size. At most 4,096
// connections are open at a time, with at most 32 MiB of segments that are ahead of
// missing ones, and of each what has arrived of its ClientHello, up to 64 KiB.
//
// The link types are Ethernet, PPP, Linux cooked (SLL and SLL2), NFLOG, BSD loopback, PKTAP
// and raw IP. Within them VLAN tags, Cisco MetaData, MPLS, PPPoE, GRE, ERSPAN, EtherIP,
// VXLAN, GENEVE, GTP-U and IP in IP are read. IP fragments are counted and skipped; so is
// what is not TCP, by name.
//
// The order of client and server data is that of the packets, except that a side's
// data follows the data it acknowledges. It can be wrong in a capture that was merged
// from several capture points whose clocks differ.
package capture

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/handshake"
)

// A Reader reads the conversations of one capture. It is not safe for concurrent use.
type Reader struct {
	nextFrame func() (frame, error)
	decoder   *decoder
	table     table
	stats     Stats
	err       error // returned after the last conversation
}

// NewReader returns a Reader for a capture, which may be compressed with gzip. The keys
// decrypt TLS records. If keys is nil, encrypted messages are inferred from their order
// and size.
//
// The error wraps [ErrFormat] if r is not a capture, or the error of r.
func NewReader(r io.Reader, keys handshake.Keys) (*Reader, error) {
	nextFrame, err := openFile(r)
	if err != nil {
		return nil, err
	}
	reader := &Reader{nextFrame: nextFrame, decoder: newDecoder()}
	reader.table = table{keys: keys, stats: &reader.stats, connections: make(map[[2]netip.AddrPort]*list.Element)}
	return reader, nil
}

// Next returns the next conversation that has ended, or at the end of the file one that
// has not. After the last it returns [io.EOF], or an error if the file is damaged or
// ends within a packet.
func (r *Reader) Next() (*Conversation, error) {
	for len(r.table.results) == 0 {
		if r.err != nil {
			return nil, r.err
		}
		r.readPacket()
	}
	c := r.table.results[0]
	r.table.results = r.table.results[1:]
	return c, nil
}

// Stats returns the statistics of what was read so far.
func (r *Reader) Stats() Stats { return r.stats }

func (r *Reader) readPacket() {
	f, err := r.nextFrame()
	if err != nil {
		r.table.finishAll()
		r.err = r.finalError(err)
		return
	}
	r.stats.Packets++
	seg, err := r.decoder.decode(f)
	if err != nil {
		r.stats.countSkipped(err)
		return
	}
	seg.number = r.stats.Packets
	r.table.add(seg)
}

// finalError returns the error for the end of the file.
func (r *Reader) finalError(err error) error {
	switch {
	case err == io.EOF && r.stats.Packets > 0 && r.stats.UnknownLink.Total() == r.stats.Packets:
		return fmt.Errorf("capture: all packets have an unsupported link type (%s): capture on an Ethernet interface or on \"any\"", r.stats.UnknownLink)
	case err == io.EOF:
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("capture: file ends within packet %d: %w", r.stats.Packets+1, err)
	}
	return fmt.Errorf("capture: packet %d: %w", r.stats.Packets+1, err)
}

// A Conversation is a TCP connection with mail or TLS. Its strings are as the peers sent
// them: escape them before you show them.
type Conversation struct {
	Client, Server netip.AddrPort

	Start   time.Time // of the first packet in the capture
	Packets int

	// MidStream reports that the connection began before the capture. Which side is the
	// client is then inferred from the data or the ports.
	MidStream bool

	// MissingBytes counts the bytes of both sides that are not in the capture, because
	// packets are missing or truncated.
	MissingBytes int

	// Protocol is the protocol before TLS.
	Protocol Protocol

	// Banner is the first line of the server's greeting, EHLO the name that the client
	// gave in EHLO, HELO or LHLO. Each has at most 512 bytes.
	Banner, EHLO string

	// StartTLS reports that the client sent STARTTLS. Refusal is the server's reply if
	// it refused.
	StartTLS bool
	Refusal  string

	// Offer is what the server's reply to the last EHLO in plaintext says about STARTTLS,
	// and Mask the line that a device overwrote.
	Offer Offer
	Mask  string

	// Mail reports that the client sent a MAIL command in plaintext, MailAccepted that the
	// server accepted a message after it.
	Mail, MailAccepted bool

	// InPlaintext reports that both sides went on in plaintext after the reply to STARTTLS, as
	// in a capture made where a device has decrypted the connection. Then Transcript is
	// nil.
	InPlaintext bool

	// Transcript is the handshake, seen [handshake.OnWire]. It is nil if TLS did not start.
	Transcript *handshake.Transcript

	number int // of its first packet
}

// Stats counts what a capture contains, including what was skipped.
type Stats struct {
	Packets     int    // all packets
	UnknownLink Counts // packets with an unsupported link type, by its name
	NotTCP      Counts // packets that are not TCP over IP, by what they are instead
	Fragments   int    // IP fragments, which are not reassembled
	Malformed   int    // packets with malformed or truncated headers
	Connections int    // TCP connections
	Underway    int    // connections whose TLS handshake had ended before the capture began
	Evicted     int    // connections that were given up because too many were open
}

// countSkipped counts a packet without a TCP segment.
func (s *Stats) countSkipped(why error) {
	link, notTCP := unknownLinkError(0), notTCPError("")
	switch {
	case errors.As(why, &link):
		s.UnknownLink.add(link.name())
	case errors.As(why, &notTCP):
		s.NotTCP.add(string(notTCP))
	case why == errFragment:
		s.Fragments++
	default:
		s.Malformed++
	}
}

// Counts are numbers of packets by name.
type Counts map[string]int

func (c *Counts) add(name string) {
	if *c == nil {
		*c = make(Counts)
	}
	(*c)[name]++
}

// Total returns the number of all packets.
func (c Counts) Total() (n int) {
	for _, count := range c {
		n += count
	}
	return n
}

// String returns the names with their numbers, the largest first: "20 UDP, 7 ARP".
func (c Counts) String() string {
	names := slices.SortedFunc(maps.Keys(c), func(a, b string) int {
		return cmp.Or(cmp.Compare(c[b], c[a]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", c[name], name)
	}
	return strings.Join(names, ", ")
}
