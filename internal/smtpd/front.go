package smtpd

import (
	"errors"
	"os"
	"time"

	"postern/internal/front"
	"postern/internal/proxyprotocol"
	"postern/internal/smtp"
)

// headerTime is how long a balancer may take to send its PROXY protocol header. It sends that with
// the first segment, which may get lost: its specification asks for 3 seconds at least.
const headerTime = 5 * time.Second

// noClient is the end of a session in which no front-end has said who the client is.
const noClient = "no client behind a balancer"

// throughFront is the reply then. A sender that gets here has been led to the wrong port: it shall
// try again, not give up.
var throughFront = smtp.NewReply(421, "4.3.2", "connections to this port come through a load balancer")

// meet learns from a PROXY protocol header who the client is, and admits that. XCLIENT comes later.
// If that ends the session, meet has closed the connection.
func (s *session) meet(implicit bool) {
	switch {
	case !s.front.Trusted:
		s.end, s.err = noClient, front.ErrUntrusted
		s.server.turnAway(s.raw, throughFront, implicit)
		return
	case s.front.Protocol == front.XClient:
		s.ofFront = true
		return
	}
	header, err := s.readHeader()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && s.draining.Load():
		s.end = "drained"
		s.server.turnAway(s.raw, shuttingDown, implicit)
		return
	case err != nil:
		s.end, s.err = noClient, err
		s.ofFront = errors.Is(err, proxyprotocol.ErrClosed)
		s.server.turnAway(s.raw, throughFront, implicit)
		return
	case header.Client.IsValid():
		s.addr, s.local = header.Client, header.Server
	default:
		s.ofFront = true
	}
	s.server.admit(s, implicit)
}

// readHeader reads the header while drain may interrupt it.
func (s *session) readHeader() (proxyprotocol.Header, error) {
	s.idle.Store(true)
	defer s.idle.Store(false)
	s.raw.SetReadDeadline(time.Now().Add(headerTime))
	s.interrupt()
	return proxyprotocol.ReadHeader(s.raw)
}

// isHealthCheck reports whether a front-end connected on its own account, and brought no message. It
// is none if XCLIENT was to come, and something else happened.
func (s *session) isHealthCheck() bool {
	return s.ofFront && s.messages == 0 && (s.err == nil || s.front.Protocol != front.XClient)
}
