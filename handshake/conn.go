package handshake

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/tlsrecord"
)

// A Conn records what passes between [Conn.Begin] and [Conn.Stop]. It goes below
// crypto/tls, and below whatever delays or splits what crypto/tls writes, so that it sees
// what is really sent and when:
//
//	tls.Conn → gate of package sessionticket → handshake.Conn → TCP
//
// Before Begin and after Stop, Read and Write cost one atomic load more than without it.
//
// A Conn is as safe for concurrent use as the conn below it; its own methods are safe.
type Conn struct {
	net.Conn
	view      View
	keys      Keys
	recording atomic.Pointer[recording]
}

// NewConn returns a Conn on top of c. View is [AtServer] below a TLS server, [AtClient]
// below a client.
func NewConn(c net.Conn, view View) *Conn { return &Conn{Conn: c, view: view} }

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Begin starts the recording: TLS begins with the next byte. In SMTP that is after the
// server's reply to STARTTLS. A second Begin starts over.
func (c *Conn) Begin() {
	rec := &recording{r: c.newRecorder(time.Now()), own: c.view.own()}
	if c.view == AtServer {
		rec.conn = c.Conn
	}
	if c.keys != nil {
		rec.log = new(eventLog)
	}
	c.recording.Store(rec)
}

func (c *Conn) newRecorder(start time.Time) *Recorder {
	r := NewRecorder(c.view, start)
	local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	if c.view == AtClient {
		r.SetAddresses(local, remote)
	} else {
		r.SetAddresses(remote, local)
	}
	return r
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap(), tcp.AddrPort().Port())
}

// UseKeys lets the transcript name encrypted messages by their content. It is for the
// client's side. Call it before Begin; it takes effect in Stop, when the keys must be
// available. Until then the Conn holds what passes, at most 256 KiB.
func (c *Conn) UseKeys(keys Keys) { c.keys = keys }

// Read reads from the connection below.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if rec := c.recording.Load(); rec != nil {
		rec.read(c.view.peer(), b[:n], c.view.endOf(err))
	}
	return n, err
}

// Write writes to the connection below.
func (c *Conn) Write(b []byte) (int, error) {
	rec := c.recording.Load()
	if rec == nil {
		return c.Conn.Write(b)
	}
	rec.writing(b)
	n, err := c.Conn.Write(b)
	rec.written(b[:n], c.view.endOf(err))
	return n, err
}

// Close closes the connection below and records that end.
func (c *Conn) Close() error {
	if rec := c.recording.Load(); rec != nil {
		rec.read(UnknownSide, nil, c.view.ownClose())
	}
	return c.Conn.Close()
}

// ClientHello returns the content of the ClientHello, or nil before it is whole. It is
// available when crypto/tls calls [crypto/tls.Config.GetConfigForClient].
func (c *Conn) ClientHello() (hello *ClientHello) {
	if rec := c.recording.Load(); rec != nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		hello = rec.r.t.ClientHello
	}
	return hello
}

// ExpectTicket announces a session ticket of length bytes, as
// [crypto/tls.Config.WrapSession] returns it. From the first call on, encrypted tickets
// are recognised by their size and nothing else is taken for one, so announce each before
// it passes; after Begin, ExpectTicket(0) announces that there is none yet. Without it
// tickets are inferred from their place, which leaves some [TypeUnknown].
func (c *Conn) ExpectTicket(length int) {
	c.notify(func(r *Recorder) { r.expectTicket(length) })
}

// ServerFirst notes that the server speaks first: see [Recorder.ServerFirst].
func (c *Conn) ServerFirst() { c.notify((*Recorder).ServerFirst) }

// Complete notes that the handshake is complete: crypto/tls has verified the other side's
// Finished. The recording continues until Stop, so that what follows is seen: a ticket,
// the first data, a silent close.
func (c *Conn) Complete() { c.notify((*Recorder).complete) }

// Fail notes an error as crypto/tls returned it, of the handshake or of a Read after it. It
// reveals encrypted alerts, close_notify among them, and timeouts by a context.
func (c *Conn) Fail(err error) {
	now := time.Now()
	c.notify(func(r *Recorder) { r.fail(err, now) })
}

// notify passes an event to the recorder, if there is one.
func (c *Conn) notify(event func(*Recorder)) {
	if rec := c.recording.Load(); rec != nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.flush()
		rec.event(0, event)
	}
}

// Stop ends the recording, releases its memory, and returns the transcript. Use is what
// the client did after the handshake, as far as the caller knows. Stop returns nil if
// nothing is being recorded.
func (c *Conn) Stop(use Use) *Transcript {
	rec := c.recording.Swap(nil)
	if rec == nil {
		return nil
	}
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.flush()
	rec.stopped = true
	r := rec.r
	if rec.log != nil {
		r = c.newRecorder(r.start)
		r.UseKeys(c.keys)
		rec.log.replay(r)
	}
	r.SetUse(use)
	r.finish(r.t)
	return r.t
}

// A recording is a recorder that both directions feed.
//
// A write is noted when it is done, with the time at which it began, so that the cost of
// recording overlaps with the time that the bytes travel. It is noted earlier if
// something is read before that, which may be the answer.
type recording struct {
	mu  sync.Mutex
	r   *Recorder
	own Side
	log *eventLog // nil without keys

	conn net.Conn // below a server, to ask what was acknowledged; otherwise nil
	sent int      // bytes written by own

	pending []byte // being written, not yet noted
	began   time.Time
	stopped bool // the transcript was returned; a Read or Write may still be in progress
}

func (rec *recording) writing(b []byte) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.flush()
	now := time.Now()
	if rec.conn != nil && rec.sent == 0 && len(b) > 0 && b[0] == tlsrecord.Handshake {
		// A client that left before the server's flight did not leave because of it. The next
		// Read finds the end only after the flight.
		rec.note(UnknownSide, nil, now, AtServer.endOf(pendingEnd(rec.conn)))
	}
	rec.pending, rec.began = b, now
}

// written notes the part of the pending bytes that was written, unless it was noted.
func (rec *recording) written(b []byte, end End) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(b) == 0 {
		rec.pending = nil
	} else if len(rec.pending) > 0 && &rec.pending[0] == &b[0] {
		rec.pending = b
		rec.flush()
	}
	rec.note(UnknownSide, nil, time.Now(), end)
}

func (rec *recording) read(from Side, b []byte, end End) {
	now := time.Now()
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.flush()
	rec.note(from, b, now, end)
}

func (rec *recording) flush() {
	rec.note(rec.own, rec.pending, rec.began, End{})
	rec.pending = nil
}

func (rec *recording) note(from Side, b []byte, at time.Time, end End) {
	if rec.stopped || len(b) == 0 && end.Kind == EndOpen {
		return
	}
	if from == rec.own {
		rec.sent += len(b)
	}
	if end.Kind != EndOpen && rec.conn != nil {
		acked := acknowledged(rec.conn, rec.sent, end.Kind)
		rec.event(0, func(r *Recorder) {
			if r.t.End.Kind == EndOpen {
				r.SetAcknowledged(acked)
			}
		})
	}
	if rec.log == nil {
		rec.r.passed(from, b, at, end)
		return
	}
	b = bytes.Clone(b)
	rec.event(len(b), func(r *Recorder) { r.passed(from, b, at, end) })
}

func (rec *recording) event(size int, event func(*Recorder)) {
	if rec.stopped {
		return
	}
	event(rec.r)
	if rec.log != nil {
		rec.log.add(size, event)
	}
}

// acknowledged returns how much of the last sent bytes written to a server's connection was
// acknowledged when it ended. A close acknowledges what had arrived. A reset may too, but
// the kernel drops that: then only what was acknowledged before it is known.
func acknowledged(conn net.Conn, sent int, how EndKind) Acknowledged {
	missing, ok := unacknowledged(conn)
	if !ok {
		return AckUnknown
	}
	return classifyAcknowledged(missing, sent, how)
}

func classifyAcknowledged(missing, sent int, how EndKind) Acknowledged {
	switch {
	case sent == 0:
		return AckUnknown
	case missing == 0:
		return AckAll
	case how == EndReset:
		return AckUnknown
	case missing >= sent:
		return AckNone
	}
	return AckPart
}

func (r *Recorder) passed(from Side, b []byte, at time.Time, end End) {
	r.Feed(from, b, at)
	if end.Kind != EndOpen {
		end.At = at.Sub(r.start)
		r.End(end)
	}
}
