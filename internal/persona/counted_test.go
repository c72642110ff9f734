package persona_test

import (
	"context"
	"net"
)

// A countedConn notes how long the writes are that carry a ClientHello: those between
// STARTTLS and what the server says to the hello.
type countedConn struct {
	net.Conn
	tls   bool // the next byte that is written is TLS
	heard bool // since
	hello []int
}

func (c *countedConn) dial(ctx context.Context, network, addr string) (_ net.Conn, err error) {
	c.Conn, err = new(net.Dialer).DialContext(ctx, network, addr)
	return c, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.tls = c.tls || b[0] == 22 // handshake (RFC 8446, Section 5.1)
	if c.tls && !c.heard {
		c.hello = append(c.hello, len(b))
	}
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.heard = c.heard || c.tls
	return n, err
}
