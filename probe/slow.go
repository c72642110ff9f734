package probe

import (
	"context"
	"net"
	"time"
)

// slowness is how long a slow client leaves the server's first flight unread. What a
// server sends without waiting for the client's Finished, in a write of its own as
// GnuTLS does, has come by then: else it would be a matter of luck who meets it first.
const slowness = 100 * time.Millisecond

// dialSlowly connects as a client that is slow to answer the server's first flight.
func dialSlowly(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &slow{Conn: conn, ctx: ctx}, nil
}

// slow is a client's conn that pauses once, between its ClientHello and the answer.
type slow struct {
	net.Conn
	ctx    context.Context
	pauses int // 1: a ClientHello has gone out and nothing was read since
}

// Write looks for the ClientHello: a handshake record (RFC 8446, Section 5.1), which
// no command in clear looks like.
func (s *slow) Write(b []byte) (int, error) {
	if s.pauses == 0 && len(b) > 2 && b[0] == 22 && b[1] == 3 {
		s.pauses = 1
	}
	return s.Conn.Write(b)
}

func (s *slow) Read(b []byte) (int, error) {
	if s.pauses == 1 {
		s.pauses = 2
		select {
		case <-time.After(slowness):
		case <-s.ctx.Done():
		}
	}
	return s.Conn.Read(b)
}
