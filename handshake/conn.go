package handshake

import (
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// A Conn records what passes between [Conn.Begin] and [Conn.Stop]. It goes below
// crypto/tls, and below whatever holds back or splits what crypto/tls writes, so
// that it sees what really leaves and when:
//
//	tls.Conn → gate of package sessionticket → handshake.Conn → TCP
//
// Before Begin and after Stop, Read and Write pass on at the cost of an atomic load.
//
// A Conn is as safe for concurrent use as the conn below it; its own methods are safe.
type Conn struct {
	net.Conn
	view      View
	keys      Keys
	recording atomic.Pointer[recording]
}

// NewConn returns c able to record. View is [AtServer] below a TLS server, [AtClient]
// below a client.
func NewConn(c net.Conn, view View) *Conn { return &Conn{Conn: c, view: view} }

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Begin starts the recording: TLS begins with the next byte. In SMTP that is after
// the server's reply to STARTTLS. A second Begin starts anew.
func (c *Conn) Begin() {
	rec := &recording{r: c.recorder(time.Now()), own: c.view.own()}
	if c.keys != nil {
		rec.tape = new(tape)
	}
	c.recording.Store(rec)
}

func (c *Conn) recorder(start time.Time) *Recorder {
	r := NewRecorder(c.view, start)
	r.Addresses(c.addresses())
	return r
}

// UseKeys lets the transcript name encrypted messages by what they hold. It is for
// the client's side, goes before Begin, and takes effect when the recording stops:
// then the keys must be there. What passes until then is held, at most 256 KiB.
func (c *Conn) UseKeys(keys Keys) { c.keys = keys }

func (c *Conn) addresses() (client, server netip.AddrPort) {
	local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
	if c.view == AtClient {
		return local, remote
	}
	return remote, local
}

func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok || tcp == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(tcp.AddrPort().Addr().Unmap(), tcp.AddrPort().Port())
}

// Read reads from the connection below.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if rec := c.recording.Load(); rec != nil {
		rec.read(c.view.peer(), b[:n], c.view.ended(err))
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
	rec.written(b[:n], c.view.ended(err))
	return n, err
}

// Close closes the connection below, which is an end like any other.
func (c *Conn) Close() error {
	if rec := c.recording.Load(); rec != nil {
		rec.read(Nobody, nil, c.view.closed())
	}
	return c.Conn.Close()
}

// Hello returns what the ClientHello says, or nil before it came whole. It is there
// when crypto/tls calls [tls.Config.GetConfigForClient].
func (c *Conn) Hello() (hello *Hello) {
	if rec := c.recording.Load(); rec != nil {
		rec.mu.Lock()
		defer rec.mu.Unlock()
		hello = rec.r.Hello()
	}
	return hello
}

// Ticket tells that crypto/tls has made a session ticket of that many bytes, as
// [tls.Config.WrapSession] returns it; 0 says that there is none so far. A server
// that calls it does so for each, and with 0 after Begin. One that never does has its
// tickets told by their place, which leaves some [Unknown]. See [Recorder.Ticket].
func (c *Conn) Ticket(length int) {
	size := 0
	if length > 0 {
		size = ticketMessageLen + length
	}
	c.tell(func(r *Recorder) { r.Ticket(size) })
}

// ticketMessageLen is the NewSessionTicket message that crypto/tls makes, without
// the ticket: header, lifetime, age_add, empty nonce, length, no extensions.
const ticketMessageLen = messageHeaderLen + 4 + 4 + 1 + 2 + 2

// ServerFirst is [Recorder.ServerFirst].
func (c *Conn) ServerFirst() { c.tell((*Recorder).ServerFirst) }

// Complete tells that the handshake is complete: crypto/tls has verified the other
// side's Finished. The recording goes on until Stop, so that what follows is seen:
// a ticket, the first data, a silent close.
func (c *Conn) Complete() { c.tell((*Recorder).Complete) }

// Fail tells the handshake's error as crypto/tls gave it. It names alerts that
// were encrypted.
func (c *Conn) Fail(err error) { c.tell(func(r *Recorder) { r.Fail(err) }) }

// Stop ends the recording, lets its memory go, and returns the transcript. Use is
// what the client did after the handshake, as far as the caller knows. It returns
// nil if nothing is recorded.
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
	if rec.tape != nil {
		r = c.recorder(r.start)
		r.UseKeys(c.keys)
		rec.tape.play(r)
	}
	r.Used(use)
	r.finish(r.t)
	return r.t
}
