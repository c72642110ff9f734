package sessionticket

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"postern/internal/tlsrecord"
)

// settle bounds the time between the first write after a handshake and the end of the
// handshake's context. [tls.Conn] lets other goroutines write before it cancels that.
const settle = 100 * time.Millisecond

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
	sending  atomic.Bool  // a Read has started to send the ticket
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
	case isAlertSized(b) && !h.concluded():
		h.end() // docs/decisions/0002-wrong-finished.md
		return len(b), nil
	case h.own:
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

// concluded reports whether the handshake has returned. The first record after the flight
// comes either from the handshake, with an alert, or from a writer after the handshake
// completed; in the second case its context is cancelled at once.
func (h *hold) concluded() bool {
	if h.handshake.Err() != nil {
		return true
	}
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-h.handshake.Done():
		return true
	case <-timer.C:
		return false
	}
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
func (h *hold) end() {
	h.records = nil
	h.conn.hold.CompareAndSwap(h, nil)
}

func shortWrite(err error) error {
	if err == nil {
		return io.ErrShortWrite
	}
	return err
}

// read reads from the client. The first read after the handshake sends a ticket of
// [OwnWrite], on another goroutine, since the client may write before it reads.
func (h *hold) read(b []byte) (int, error) {
	if !h.own {
		return h.conn.Conn.Read(b)
	}
	if h.verified() && h.sending.CompareAndSwap(false, true) {
		go h.sendNow()
	}
	n, err := h.conn.Conn.Read(b)
	h.received.Add(int64(n))
	return n, err
}

// verified reports whether the handshake has returned and the client has sent enough
// for its Finished. The second matters when a server reads from the conn after a
// failed handshake.
func (h *hold) verified() bool {
	return h.received.Load() >= finishedRecordLen && h.handshake.Err() != nil
}

func (h *hold) sendNow() {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	if h.conn.hold.Load() == h && h.due == 0 {
		_ = h.send() // the next write tries again, and has the error
	}
}
