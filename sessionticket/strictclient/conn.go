package strictclient

import (
	"bytes"
	"net"

	"postern/internal/tlsrecord"
)

// readAhead is more than the longest record (RFC 8446, Section 5.2: 5 + 16,640
// bytes), and the whole flight of a server with a large certificate chain.
const readAhead = 64 << 10

// phase is how far the handshake below a Conn has come.
type phase int

const (
	beforeHello phase = iota // the client has not yet sent a ClientHello
	inFlight                 // the server's flight is being read
	encrypted                // and at least one encrypted record of it was delivered
	over                     // the client's Finished was sent, or it is not TLS 1.3
)

// A Conn is the client's side of a connection. It reads the record headers during the
// handshake and closes the connection without an alert on an early ticket. Make one with
// [New].
//
// Each Read returns bytes of one record only. Crypto/tls writes its Finished as soon as it
// has read the server's, so any bytes that have arrived and were not read yet when it
// writes came after the server's Finished.
//
// Reads and Writes during the handshake must not be concurrent.
type Conn struct {
	net.Conn
	phase   phase
	arrived bytes.Buffer // from the server, not yet read by crypto/tls
	record  int          // bytes left of the current record
	refused bool
}

// New returns a Conn over c. Use it below [tls.Client], or below a client that starts
// TLS later.
func New(c net.Conn) *Conn { return &Conn{Conn: c} }

// NetConn returns the connection below.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Refused reports whether the client closed the connection because of an early ticket.
// It is for callers whose library hides the error of the handshake.
func (c *Conn) Refused() bool { return c.refused }

// Write writes b. If b is the client's Finished and the server sent more after its own,
// Write closes the connection and returns [ErrEarlyTicket].
func (c *Conn) Write(b []byte) (int, error) {
	switch c.phase {
	case beforeHello:
		if tlsrecord.BeginsHandshake(b) {
			c.phase = inFlight
		}
	case encrypted:
		c.phase = over
		if c.arrived.Len() > 0 {
			c.refused = true
			c.Conn.Close()
			return 0, ErrEarlyTicket
		}
	}
	return c.Conn.Write(b)
}

// Read reads at most one record during the server's flight.
func (c *Conn) Read(b []byte) (int, error) {
	switch {
	case c.phase == inFlight || c.phase == encrypted:
		return c.readRecord(b)
	case c.arrived.Len() > 0:
		return c.arrived.Read(b)
	}
	return c.Conn.Read(b)
}

// readRecord reads the next bytes of the current record.
func (c *Conn) readRecord(b []byte) (int, error) {
	if c.record == 0 {
		if err := c.nextRecord(); err != nil {
			return 0, err
		}
	}
	n, err := c.arrived.Read(b[:min(len(b), c.record)])
	c.record -= n
	return n, err
}

// nextRecord waits until a whole record has arrived and updates the phase.
func (c *Conn) nextRecord() error {
	if err := c.fill(tlsrecord.HeaderLen); err != nil {
		return err
	}
	header := c.arrived.Bytes()[:tlsrecord.HeaderLen]
	kind, length := header[0], tlsrecord.Length(header)
	if err := c.fill(tlsrecord.HeaderLen + length); err != nil {
		return err
	}
	c.record = tlsrecord.HeaderLen + length
	switch body := c.arrived.Bytes()[tlsrecord.HeaderLen:c.record]; {
	case kind == tlsrecord.ApplicationData:
		c.phase = encrypted
	case kind == tlsrecord.Handshake && isOldServerHello(body):
		c.phase = over // TLS 1.2 has its ticket before the server's Finished (RFC 5077, Section 3.1)
	}
	return nil
}

// fill reads until n bytes have arrived.
func (c *Conn) fill(n int) error {
	var chunk []byte
	for c.arrived.Len() < n {
		if chunk == nil {
			chunk = make([]byte, readAhead)
		}
		got, err := c.Conn.Read(chunk)
		c.arrived.Write(chunk[:got])
		if err != nil && c.arrived.Len() < n {
			return err
		}
	}
	return nil
}
