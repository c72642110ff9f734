package probe

import (
	"context"
	"net"
	"time"
)

// slowness is how long a slow client leaves the server's first flight unread once it
// begins to arrive. What a server sends without waiting for the client's Finished, in
// a write of its own as GnuTLS does, has come by then even from a busy machine: else
// it would be a matter of luck who meets it first.
const slowness = 200 * time.Millisecond

// DialSlowly connects as a client that is slow, 0.2 s, to answer the server's first
// flight: a persona that looks for what comes early has it for its Target.Dial.
// Its errors are those of a [net.Dialer].
func DialSlowly(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &slow{Conn: conn, ctx: ctx}, nil
}

// slow is a client's conn that pauses once, when the answer to its ClientHello begins
// to arrive: how long a server takes to begin is no part of the pause.
type slow struct {
	net.Conn
	ctx   context.Context
	phase phase
}

type phase int

const (
	beforeHello phase = iota
	awaitingFlight
	paused
)

// Write looks for the ClientHello: a handshake record (RFC 8446, Section 5.1), which
// no command in clear looks like.
func (s *slow) Write(b []byte) (int, error) {
	if s.phase == beforeHello && len(b) > 2 && b[0] == 22 && b[1] == 3 {
		s.phase = awaitingFlight
	}
	return s.Conn.Write(b)
}

func (s *slow) Read(b []byte) (int, error) {
	if s.phase != awaitingFlight || len(b) < 2 {
		return s.Conn.Read(b)
	}
	n, err := s.Conn.Read(b[:1])
	if err != nil {
		return n, err
	}
	s.phase = paused
	select {
	case <-time.After(slowness):
	case <-s.ctx.Done():
	}
	rest, err := s.Conn.Read(b[n:])
	if err != nil && rest == 0 {
		return n, nil // the next Read tells the error
	}
	return n + rest, nil
}
