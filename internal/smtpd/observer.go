package smtpd

import (
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/sessionticket"
)

// A Watch decides how each sender's handshake is answered, and hears how it
// went. Its methods are called by many sessions at once, and none waits for
// long.
type Watch interface {
	// Offer is asked once for each ClientHello, before it is answered.
	Offer(fallback.Sender) fallback.Rung

	// Ended is told of each session when it is over. What it returns goes
	// into the session's line in the log.
	Ended(Visit) []slog.Attr
}

// A Visit is a session that has ended.
type Visit struct {
	Session  string // its id, as in replies and in the log
	Began    time.Time
	Addr     netip.Addr
	EHLO     string
	Rung     fallback.Rung // what was offered; of no meaning without a JA4
	JA4      string        // the sender's, see handshake.ClientHello; empty: no ClientHello came
	TLS      *tls.ConnectionState
	Messages int // that were taken

	// Handshake is nil where TLS was not begun, and where the sender went on
	// to MAIL: then there is nothing to explain.
	Handshake *handshake.Transcript
}

// underTLS is what TLS runs over. It leads the callbacks of crypto/tls to their
// session.
type underTLS struct {
	net.Conn
	session *session
}

// NetConn returns the connection below, where the gate finds its own.
func (u *underTLS) NetConn() net.Conn { return u.Conn }

// gated is base behind the gate, with what the watch has to say of each sender.
func gated(gate *sessionticket.Gate, base *tls.Config) *tls.Config {
	config := gate.Config(base)
	configFor := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		session := hello.Conn.(*underTLS).session
		session.rung = session.server.watch.Offer(session.sender())
		if session.rung == fallback.TLS12 && !slices.Contains(hello.SupportedVersions, tls.VersionTLS12) {
			session.rung = fallback.NoTicket // the next best for a client of TLS 1.3 alone
		}
		config, err := configFor(hello) // this handshake's own
		if err != nil {
			return nil, err
		}
		if session.rung == fallback.TLS12 {
			config.MaxVersion = tls.VersionTLS12
		}
		wrap := config.WrapSession
		config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			label, err := wrap(cs, ss)
			if err == nil {
				session.record.ExpectTicket(len(label))
			}
			return label, err
		}
		return config, nil
	}
	return config
}

// tickets is the gate's part of the rung that the session is on.
func tickets(hello *tls.ClientHelloInfo) sessionticket.Policy {
	switch hello.Conn.(*underTLS).session.rung {
	case fallback.Stock:
		return sessionticket.Stock
	case fallback.OwnWrite:
		return sessionticket.OwnWrite
	case fallback.NoTicket, fallback.TLS12:
		return sessionticket.Never
	}
	return sessionticket.FirstWrite
}

// sender is who the session's handshake is with: the same whether it resumes or not.
func (s *session) sender() fallback.Sender {
	if hello := s.record.ClientHello(); hello != nil {
		s.ja4 = hello.SenderJA4()
	}
	return fallback.Sender{Addr: s.addr.Addr(), Fingerprint: s.ja4}
}

// provingCommands is how many commands over TLS show that a sender can use the
// connection: the ticket may leave with the reply to the first.
const provingCommands = 2

// heard is told of each command. The recording ends when the sender has shown
// that it can use the connection, and is forgotten when it comes to mail.
func (s *session) heard(verb string) {
	if s.tls == nil {
		return
	}
	s.secured++
	switch {
	case verb == "MAIL":
		s.record.Stop(handshake.UseMail)
		s.transcript = nil
	case s.secured == provingCommands:
		s.transcript = s.record.Stop(handshake.UseData)
	}
}

// stopRecording ends a recording that is still going on.
func (s *session) stopRecording() {
	use := handshake.UseNone
	if s.secured > 0 {
		use = handshake.UseData
	}
	if t := s.record.Stop(use); t != nil {
		s.transcript = t
	}
}

func (s *session) visit() Visit {
	return Visit{
		Session:   s.id,
		Began:     s.began,
		Addr:      s.addr.Addr(),
		EHLO:      s.called,
		Rung:      s.rung,
		JA4:       s.ja4,
		TLS:       s.tls,
		Messages:  s.messages,
		Handshake: s.transcript,
	}
}
