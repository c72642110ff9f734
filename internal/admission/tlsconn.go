package admission

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"postern/internal/tlsrecord"
)

// Bounds of what crypto/tls holds of a client's records, which by itself is 64 KiB of a
// message, and 256 KiB if it says to be a certificate.
const (
	// smallHandshake is what a handshake may have in records without asking. A ClientHello
	// has 200 to 2,000 bytes.
	smallHandshake = 4 << 10

	// maxHandshake bounds a handshake: two ClientHellos of 16 KiB, the second of which
	// follows a HelloRetryRequest. Large key shares, tickets with a chain of client
	// certificates and padding make long ones.
	maxHandshake = 32 << 10

	// maxWithoutData bounds the records after the handshake that bring no data: a record
	// that is not whole yet, key updates and alerts.
	maxWithoutData = tlsrecord.MaxCiphertextTLS12 + 1<<10
)

// largeHandshakes is how many handshakes may be large at once: 16 MiB of records in total, a
// sixteenth of that for an address. A handshake takes milliseconds, so a client waits for
// no other.
var largeHandshakes = Quotas{
	Total:      Quota{Connections: 512},
	PerNetwork: Quota{Connections: 128},
}

// Errors of a [TLSConn].
var (
	errLargeHandshake = fmt.Errorf("TLS handshake of more than %d KiB", maxHandshake>>10)
	errNoData         = errors.New("TLS records without data")
)

// Handshakes bound the memory for TLS handshakes that are not complete. They are safe for
// concurrent use.
type Handshakes struct{ large *Limiter }

// NewHandshakes returns the bounds of a server.
func NewHandshakes() *Handshakes { return &Handshakes{New()} }

// A TLSConn is a connection directly below a TLS server. Read returns an error when the
// client has sent too much without completing the handshake, or too much without data after
// it. Only Release is safe for concurrent use with Read.
type TLSConn struct {
	net.Conn
	all  *Handshakes
	from netip.Addr

	header [tlsrecord.HeaderLen]byte // of the current record in a handshake
	have   int                       // bytes of it
	left   int                       // bytes of the record's body to come
	size   int                       // of all records that have begun
	large  atomic.Bool               // counted in all.large

	complete bool
	unused   int // bytes read since the handshake or the last data
}

// Conn returns a TLSConn over conn for a handshake that begins. Release or Complete must follow.
func (h *Handshakes) Conn(conn net.Conn, from netip.Addr) *TLSConn {
	return &TLSConn{Conn: conn, all: h, from: from}
}

// NetConn returns the connection below.
func (c *TLSConn) NetConn() net.Conn { return c.Conn }

// Read reads from the connection below.
func (c *TLSConn) Read(b []byte) (int, error) {
	// All whole records were used: crypto/tls reads only if it has none.
	if c.complete && c.unused > maxWithoutData {
		return 0, errNoData
	}
	n, err := c.Conn.Read(b)
	if c.complete {
		c.unused += n
	} else if over := c.records(b[:n]); over != nil {
		return 0, over
	}
	return n, err
}

// records counts the records of a handshake by the lengths in their headers: crypto/tls
// makes room for a record as soon as it has its header.
func (c *TLSConn) records(b []byte) error {
	for len(b) > 0 {
		body := min(c.left, len(b))
		c.left -= body
		b = b[body:]
		n := copy(c.header[c.have:], b)
		c.have += n
		b = b[n:]
		if c.have < tlsrecord.HeaderLen {
			return nil
		}
		c.have, c.left = 0, tlsrecord.Length(c.header[:])
		if c.left > tlsrecord.MaxCiphertextTLS12 {
			return nil // crypto/tls ends the handshake, and names the reason
		}
		if err := c.grow(tlsrecord.HeaderLen + c.left); err != nil {
			return err
		}
	}
	return nil
}

func (c *TLSConn) grow(n int) error {
	c.size += n
	switch {
	case c.size > maxHandshake:
		return errLargeHandshake
	case c.size <= smallHandshake || c.large.Load():
		return nil
	}
	if over := c.all.large.Connect(c.from, largeHandshakes); over != nil {
		return fmt.Errorf("TLS handshake of more than %d KiB, and too many of these at once (%s)", smallHandshake>>10, over)
	}
	c.large.Store(true)
	return nil
}

// Complete notes that the handshake is complete. From then on, the caller has to call Data.
func (c *TLSConn) Complete() {
	c.complete = true
	c.Release()
}

// Release notes that a handshake takes no more memory: it has ended, or the connection is
// closed. It may be called at any time, and more than once.
func (c *TLSConn) Release() {
	if c.large.CompareAndSwap(true, false) {
		c.all.large.Disconnect(c.from)
	}
}

// Data notes that the TLS server has returned data of the client.
func (c *TLSConn) Data() { c.unused = 0 }
