package smtpd

import (
	"crypto/tls"
	"fmt"
	"runtime"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/internal/smtp"
)

// The ends of sessions over a limit, which their replies say too.
const (
	tooManyConnections = "too many connections"
	tooManyHandshakes  = "too many TLS handshakes"
)

// startTLS upgrades the connection (RFC 3207).
func (s *session) startTLS(arg string) {
	switch {
	case arg != "":
		s.reply(smtp.NewReply(501, "5.5.4", "STARTTLS takes no argument"))
	case s.tls != nil:
		s.reply(smtp.NewReply(503, "5.5.1", "TLS already active"))
	case s.xclient.Named: // the handshake would be taken for the client's
		s.reply(smtp.NewReply(503, "5.5.1", "STARTTLS comes before XCLIENT"))
	case s.setup.tls == nil:
		s.reply(smtp.NewReply(502, "5.5.1", "STARTTLS not offered"))
	case s.in.Buffered() > 0:
		// They did not come over TLS: command injection (CVE-2011-0411).
		s.hangUp(smtp.NewReply(554, "5.5.1", "data between STARTTLS and TLS"), "data after STARTTLS")
	default:
		if over := s.allowHandshake(); over != nil {
			// After 454 the sender could go on in plaintext; after 421 it has to reconnect.
			s.hangUp(s.overLimit(421, over, tooManyHandshakes), tooManyHandshakes)
			return
		}
		s.reply(smtp.NewReply(220, "2.0.0", fmt.Sprintf("ready to start TLS (id %s)", s.id)))
		s.flush()
		if s.end == "" {
			s.upgrade()
		}
	}
}

// allowHandshake returns the limit that the sender has reached. The handshakes of a front-end that
// speaks SMTP are those of all its clients: they are bounded by its connections.
func (s *session) allowHandshake() *admission.Reached {
	if s.awaitsXClient() {
		return nil
	}
	return s.server.admission.AllowStart(s.addr.Addr(), s.setup.Limits.Quotas)
}

// implicitTLS starts TLS without STARTTLS.
func (s *session) implicitTLS() {
	if s.setup.tls == nil {
		s.end = "TLS not offered"
		return
	}
	if s.limit = s.allowHandshake(); s.limit != nil {
		s.end = tooManyHandshakes
		return
	}
	s.upgrade()
}

// upgrade runs the TLS handshake. After a failed one the session has ended, and the server says
// nothing more: in plaintext, the peer may not be the sender.
func (s *session) upgrade() {
	s.record.Begin()
	s.record.ExpectTicket(0) // gated announces each
	below := s.server.handshakes.Conn(s.gate, s.addr.Addr())
	conn := tls.Server(below, s.setup.tls)
	conn.SetDeadline(time.Now().Add(s.setup.Limits.HandshakeTimeout))
	defer below.Release()
	begun := time.Now()
	if err := s.handshake(conn); err != nil {
		s.record.Fail(err)
		s.end, s.err = "TLS handshake failed", err
		s.stopRecording()
		if t := s.transcript; t != nil && len(t.Messages) == 0 && t.End.By == handshake.Client && t.End.Kind != handshake.EndTimeout {
			s.end, s.err = "closed before TLS", nil // as port scanners and health checks do
		}
		return
	}
	s.handshakeTime = time.Since(begun)
	runtime.Gosched() // the gate's goroutine sends the ticket first: some clients leave at once
	s.record.Complete()
	below.Complete()
	state := conn.ConnectionState()
	s.tls = &state
	s.resetSession()
	s.use(conn)
	s.timed.below = below
}
