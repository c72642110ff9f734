package sessionticket

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"postern/internal/tlsrecord"
)

// settle bounds how long the end of a handshake may follow the first write after
// it. [tls.Conn] lets other goroutines write a moment before it ends the context.
const settle = 100 * time.Millisecond

// hold is one session ticket on its way: made by crypto/tls, kept, sent.
//
// The server's record numbers count it (RFC 8446, Section 5.3), so once kept it
// leaves before any later record, or nothing leaves any more.
type hold struct {
	conn      *conn
	gate      *Gate
	own       bool            // send it in a write of its own
	handshake context.Context // ends when the handshake has returned

	// turn is taken for a write to the connection below, which lasts as long as the
	// client does not read. It is a channel since testing/synctest knows such a
	// wait from a mutex, and the tests of a server can then stop the clock.
	turn    chan struct{}
	due     int    // bytes of the NewSessionTicket message still to come
	records []byte // the ticket's records, or what is left to send of them

	heard atomic.Int64 // bytes read from the client since the server's flight
	sent  atomic.Bool  // a Read has taken it upon itself to send the ticket
}

// write takes what crypto/tls writes between making the ticket and sending it.
func (h *hold) write(b []byte) (int, error) {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	switch {
	case h.conn.hold.Load() != h: // it went while we waited
		return h.conn.Write(b)
	case len(b) == 0:
		return h.conn.Conn.Write(b)
	case len(h.records) > 0 && b[0] != tlsrecord.ApplicationData:
		h.end() // TLS has failed, and something else goes on over the conn
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

// keep holds back the ticket's records at the end of b and writes the others.
func (h *hold) keep(b []byte) (int, error) {
	at, content, ok := findTicket(b, h.due)
	if !ok {
		h.gate.bypassed(&h.gate.layout, newLayoutError(b, h.due))
		return h.sendWith(b)
	}
	h.records = append(h.records, b[at:]...)
	h.due -= content
	if at == 0 { // after the client's certificate: its Finished may have been read with it
		h.heard.Add(finishedRecordLen)
		return len(b), nil
	}
	if n, err := h.conn.Conn.Write(b[:at]); err != nil {
		return n, err
	}
	return len(b), nil
}

// concluded reports whether the handshake has returned. The writer of a first
// record is either the handshake itself, with an alert, or somebody who may write
// since it is complete; in the second case the end is at most a moment away.
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

// send writes the ticket alone. After an error what is left of it stays held, and
// the next write tries again.
func (h *hold) send() error {
	n, err := h.conn.Conn.Write(h.records)
	if h.sentBytes(n) {
		return nil
	}
	return shortWrite(err)
}

// sentBytes notes that n bytes went out and reports whether that was all of the ticket.
func (h *hold) sentBytes(n int) bool {
	if n < len(h.records) {
		h.records = h.records[n:]
		return false
	}
	h.end()
	return true
}

// end lets the conn pass everything from now on.
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

// read reads from the client. The first one after the handshake sends a ticket
// that is to have a write of its own: on another goroutine, as a client may be
// waiting to write before it reads.
func (h *hold) read(b []byte) (int, error) {
	if !h.own {
		return h.conn.Conn.Read(b)
	}
	if h.verified() && h.sent.CompareAndSwap(false, true) {
		go h.sendNow()
	}
	n, err := h.conn.Conn.Read(b)
	h.heard.Add(int64(n))
	return n, err
}

// verified reports whether the handshake has returned and enough came from the
// client to hold its Finished. The second matters when a server reads from the
// conn after a handshake that failed.
func (h *hold) verified() bool {
	return h.heard.Load() >= finishedRecordLen && h.handshake.Err() != nil
}

func (h *hold) sendNow() {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	if h.conn.hold.Load() == h && h.due == 0 {
		_ = h.send() // the next write tries again, and has the error
	}
}
