package smtpd

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
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
	Offer(fallback.Sender) sessionticket.Mode

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
	Mode     sessionticket.Mode // what was offered; of no meaning without a JA4
	JA4      string             // the sender's, see handshake.ClientHello; empty: no ClientHello came
	TLS      *tls.ConnectionState
	Messages int // that were taken

	// Handshake is nil where TLS was not begun, and where the sender went on
	// to MAIL: then there is nothing to explain.
	Handshake *handshake.Transcript
}

// sessionKey is the key of a handshake's session in its context.
type sessionKey struct{}

// sessionOf returns the session whose handshake begins with hello.
func sessionOf(hello *tls.ClientHelloInfo) *session {
	return hello.Context().Value(sessionKey{}).(*session)
}

// chooseMode returns the mode for the handshake that begins with hello.
func chooseMode(hello *tls.ClientHelloInfo) sessionticket.Mode {
	s := sessionOf(hello)
	if sent := s.record.ClientHello(); sent != nil {
		s.ja4 = sent.SenderJA4()
	}
	s.mode = s.server.watch.Offer(fallback.Sender{Addr: s.addr.Addr(), Fingerprint: s.ja4}).For(hello)
	return s.mode
}

// gated returns base behind the gate. Each session's recording learns which tickets were made.
func gated(gate *sessionticket.Gate, base *tls.Config) *tls.Config {
	config := gate.Config(base)
	configFor := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		config, err := configFor(hello) // this handshake's own
		if err != nil {
			return nil, err
		}
		record, wrap := sessionOf(hello).record, config.WrapSession
		config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
			label, err := wrap(cs, ss)
			if err == nil {
				record.ExpectTicket(len(label))
			}
			return label, err
		}
		return config, nil
	}
	return config
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
		Mode:      s.mode,
		JA4:       s.ja4,
		TLS:       s.tls,
		Messages:  s.messages,
		Handshake: s.transcript,
	}
}
