package sessionticket

import (
	"context"
	"io"
	"sync/atomic"

	"postern/internal/tlsrecord"
)

// hold is one session ticket that crypto/tls has made and the gate holds.
//
// The ticket has a record number (RFC 8446, Section 5.3), so it must be sent before any
// later record, or nothing can be sent any more.
type hold struct {
	conn      *conn
	gate      *Gate
	own       bool            // send it in a write of its own
	handshake context.Context // ends when the handshake has returned

	// turn is taken during a write to the connection below, which can wait for the
	// client to read. It is a channel and not a mutex since a wait for it is durably
	// blocking in testing/synctest.
	turn    chan struct{}
	due     int    // bytes of the NewSessionTicket message still to come
	records []byte // the ticket's records, or the rest of them after a short write

	received atomic.Int64 // bytes from the client since the server's flight
	broken   atomic.Bool  // reading from the client failed inside the handshake
}

// write handles the writes of crypto/tls from the ticket's creation until it is sent.
func (h *hold) write(b []byte) (int, error) {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	switch {
	case h.conn.hold.Load() != h: // it was sent in the meantime
		return h.conn.Write(b)
	case len(b) == 0:
		return h.conn.Conn.Write(b)
	case len(h.records) > 0 && b[0] != tlsrecord.ApplicationData:
		h.end() // TLS has failed, and the conn is used without it
		return h.conn.Conn.Write(b)
	case h.due > 0:
		return h.keep(b)
	case h.own && !h.isAlert(b):
		if err := h.send(); err != nil {
			return 0, err
		}
		return h.conn.Conn.Write(b)
	}
	return h.sendWith(b)
}

// keep holds the ticket's records at the end of b and writes the others.
func (h *hold) keep(b []byte) (int, error) {
	at, content, ok := findTicket(b, h.due)
	if !ok {
		h.gate.bypassed(&h.gate.layout, newLayoutError(b, h.due))
		return h.sendWith(b)
	}
	h.records = append(h.records, b[at:]...)
	h.due -= content
	if at == 0 { // after the client's certificate, with which its Finished may have been read
		h.received.Add(finishedRecordLen)
		return len(b), nil
	}
	if n, err := h.conn.Conn.Write(b[:at]); err != nil {
		return n, err
	}
	return len(b), nil
}

// isAlert reports whether b is the alert of a handshake that fails after the server's
// flight: crypto/tls writes nothing else before the handshake returns. The client cannot
// decrypt it without the ticket before it: docs/decisions/0016-ticket-in-its-own-write.md.
//
// [tls.Conn] lets other goroutines write a moment earlier. Two bytes of theirs look the
// same, and share a write with the ticket.
func (h *hold) isAlert(b []byte) bool {
	return isAlertSized(b) && h.handshake.Err() == nil
}

// sendWith writes the ticket and b in one write. It counts b's bytes alone.
func (h *hold) sendWith(b []byte) (int, error) {
	kept := len(h.records)
	n, err := h.conn.Conn.Write(append(h.records, b...))
	if h.sentBytes(n) {
		return n - kept, err
	}
	return 0, shortWrite(err)
}

// send writes the ticket alone. After an error the rest of it stays held, and the next
// write tries again.
func (h *hold) send() error {
	n, err := h.conn.Conn.Write(h.records)
	if h.sentBytes(n) {
		return nil
	}
	return shortWrite(err)
}

// sentBytes records that n bytes were written and reports whether the ticket is sent.
func (h *hold) sentBytes(n int) bool {
	if n < len(h.records) {
		h.records = h.records[n:]
		return false
	}
	h.end()
	return true
}

// end makes the conn pass everything from now on.
func (h *hold) end() { h.conn.hold.CompareAndSwap(h, nil) }

func shortWrite(err error) error {
	if err == nil {
		return io.ErrShortWrite
	}
	return err
}

// read reads from the client and notes whether its Finished can be there.
func (h *hold) read(b []byte) (int, error) {
	n, err := h.conn.Conn.Read(b)
	h.received.Add(int64(n))
	if err != nil && h.handshake.Err() == nil {
		h.broken.Store(true)
	}
	return n, err
}

// handshakeReturned sends a ticket of [OwnWrite]. It runs on a goroutine of its own, since
// the client may write much before it reads, and must not delay the server's reads.
//
// A handshake that fails returns too. Then its alert has taken the ticket along, or the
// client closed or sent an alert itself, which is shorter than a Finished.
func (h *hold) handshakeReturned() {
	if h.broken.Load() || h.received.Load() < finishedRecordLen {
		return
	}
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	if h.conn.hold.Load() == h && h.due == 0 {
		_ = h.send() // the next write tries again, and has the error
	}
}
