package sessionticket

import (
	"net"
	"sync/atomic"
)

// conn is the connection below a TLS server, able to hold a ticket back.
type conn struct {
	net.Conn
	hold atomic.Pointer[hold] // nil before a ticket is made and after it has gone
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
