package sessionticket

import (
	"net"
	"sync/atomic"
)

// conn is a connection below a TLS server that can hold a ticket.
type conn struct {
	net.Conn
	hold atomic.Pointer[hold] // nil before a ticket is made and after it is sent
}

// NetConn returns the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Write(b []byte) (int, error) {
	if h := c.hold.Load(); h != nil {
		return h.write(b)
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	if h := c.hold.Load(); h != nil {
		return h.read(b)
	}
	return c.Conn.Read(b)
}
