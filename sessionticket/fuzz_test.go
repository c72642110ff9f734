package sessionticket

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"postern/internal/tlsrecord"
)

// FuzzRecordsInAnySplit writes a stream through a conn that expects a ticket, in
// pieces as cuts says, and checks after each that what left and what is held are
// together what was written, in its order.
func FuzzRecordsInAnySplit(f *testing.F) {
	ccs := []byte{tlsrecord.ChangeCipherSpec, 3, 3, 0, 1, 1}
	flight := slices.Concat(ccs, record(36), record(newSessionTicketLen(testLabel)))
	stream := slices.Concat(flight, record(2), record(300))
	at := func(cuts ...int) (b []byte) {
		for _, cut := range cuts {
			b = append(b, byte(cut>>8), byte(cut))
		}
		return b
	}
	f.Add(stream, at(len(flight)), uint16(testLabel), false)    // as crypto/tls writes
	f.Add(stream, at(len(flight), 24), uint16(testLabel), true) // then two bytes
	f.Add(stream, at(6, 58, 144, 24), uint16(testLabel), true)  // a write a record
	f.Add(stream, at(1, 2, 3, 4, 5), uint16(testLabel), false)  // cut anywhere
	clear := []byte("550 5.7.0 no\r\n")
	f.Add(slices.Concat(flight, clear), at(len(flight)), uint16(testLabel), true)
	late := record(tlsrecord.MaxPlaintext)
	f.Add(slices.Concat(late, record(3017)), at(len(late)), uint16(tlsrecord.MaxPlaintext+3000), false)
	f.Add(slices.Concat(late, clear), at(len(late)), uint16(tlsrecord.MaxPlaintext+3000), false)
	f.Add(clear, at(), uint16(0), false)

	f.Fuzz(func(t *testing.T, stream, cuts []byte, label uint16, own bool) {
		handshake, end := context.WithCancel(context.Background())
		end()
		s := new(scripted)
		c := &conn{Conn: s}
		c.expect(new(Gate), handshake, int(label), own)
		for _, piece := range split(stream, cuts) {
			left, held := bytes.Clone(s.taken), heldBy(c)
			if n, err := c.Write(piece); n != len(piece) || err != nil {
				t.Fatalf("writing %d bytes gave %d, %v", len(piece), n, err)
			}
			want := slices.Concat(left, held, piece)
			if held != nil && piece[0] != tlsrecord.ApplicationData {
				want = slices.Concat(left, piece) // clear text: the ticket must not leave
			}
			if got := slices.Concat(s.taken, heldBy(c)); !bytes.Equal(got, want) {
				t.Fatalf("after %x: %x, want %x", piece, got, want)
			}
		}
	})
}

// heldBy is what c holds of a ticket that is complete, or nil.
func heldBy(c *conn) []byte {
	if h := c.hold.Load(); h != nil {
		return bytes.Clone(h.records)
	}
	return nil
}

// split cuts stream into pieces whose lengths cuts has, two bytes each, and the rest.
func split(stream, cuts []byte) [][]byte {
	var pieces [][]byte
	for ; len(cuts) >= 2; cuts = cuts[2:] {
		if n := min(int(cuts[0])<<8|int(cuts[1]), len(stream)); n > 0 {
			pieces, stream = append(pieces, stream[:n]), stream[n:]
		}
	}
	if len(stream) > 0 {
		pieces = append(pieces, stream)
	}
	return pieces
}
