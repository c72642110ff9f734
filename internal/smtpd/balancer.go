package smtpd

import (
	"errors"
	"os"
	"time"

	"postern/internal/proxyprotocol"
	"postern/internal/smtp"
)

// headerTime is how long a balancer may take to send its PROXY protocol header. It sends that with
// the first segment, which may get lost: its specification asks for 3 seconds at least.
const headerTime = 5 * time.Second

// meet learns from the balancer who the client is, and admits that. If the session does not go on,
// meet has closed the connection.
func (s *session) meet(implicit bool) bool {
	header, err := s.readHeader()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && s.draining.Load():
		s.end = "drained"
		s.server.turnAway(s.raw, shuttingDown, implicit)
		return false
	case err != nil:
		s.end, s.err = "no client behind a balancer", err
		s.ofBalancer = errors.Is(err, proxyprotocol.ErrClosed)
		// A sender that gets here has been led to the wrong port: it shall try again, not give up.
		s.server.turnAway(s.raw, smtp.NewReply(421, "4.3.2", "connections to this port come through a load balancer"), implicit)
		return false
	case header.Client.IsValid():
		s.addr, s.local = header.Client, header.Server
	default:
		s.ofBalancer = true
	}
	return s.server.admit(s, implicit)
}

// readHeader reads the header while drain may interrupt it.
func (s *session) readHeader() (proxyprotocol.Header, error) {
	s.idle.Store(true)
	defer s.idle.Store(false)
	s.raw.SetReadDeadline(time.Now().Add(headerTime))
	if s.draining.Load() {
		s.raw.SetReadDeadline(longAgo)
	}
	return s.balancer.ReadHeader()
}
