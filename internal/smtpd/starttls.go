package smtpd

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"postern/internal/smtp"
)

// startTLS upgrades the connection (RFC 3207).
func (s *session) startTLS(arg string) {
	switch {
	case arg != "":
		s.reply(smtp.NewReply(501, "5.5.4", "STARTTLS takes no argument"))
	case s.tls != nil:
		s.reply(smtp.NewReply(503, "5.5.1", "TLS is on already"))
	case s.setup.tls == nil:
		s.reply(smtp.NewReply(502, "5.5.1", "STARTTLS is not offered here"))
	case s.in.Buffered() > 0:
		// Whoever put them there, they are not from the sender's TLS side:
		// command injection (CVE-2011-0411).
		s.hangUp(smtp.NewReply(554, "5.5.1", "bytes behind STARTTLS before TLS began"), "bytes behind STARTTLS")
	case !s.server.admission.AllowStart(s.network, s.setup.Limits.Quotas):
		// 454 would let the sender go on in the clear. 421 brings it back.
		s.hangUp(s.tooMany("TLS handshakes"), "turned away: too many TLS handshakes")
	default:
		s.reply(smtp.NewReply(220, "2.0.0", fmt.Sprintf("start TLS now (id %s)", s.id)))
		s.flush()
		if s.end == "" {
			s.upgrade()
		}
	}
}

// secure is the start of implicit TLS.
func (s *session) secure() bool {
	if s.setup.tls == nil || !s.server.admission.AllowStart(s.network, s.setup.Limits.Quotas) {
		s.end = "turned away: too many TLS handshakes"
		return false
	}
	return s.upgrade()
}

// upgrade does the handshake. When that fails nothing more is said: in the
// clear it could be anybody who hears or answers.
func (s *session) upgrade() bool {
	s.record.Begin()
	s.record.ExpectTicket(0) // gated tells of each
	conn := tls.Server(s.gate, s.setup.tls)
	conn.SetDeadline(time.Now().Add(s.setup.Limits.HandshakeTimeout))
	if err := conn.HandshakeContext(context.WithValue(context.Background(), sessionKey{}, s)); err != nil {
		s.record.Fail(err)
		s.end, s.err = "TLS handshake failed", err
		return false
	}
	s.record.Complete()
	state := conn.ConnectionState()
	s.tls = &state
	s.forget()
	s.use(conn)
	return true
}
