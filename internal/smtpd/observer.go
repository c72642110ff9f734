package smtpd

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"time"

	"postern/handshake"
	"postern/internal/admission"
	"postern/sessionticket"
)

// An Observer chooses the TLS mode of each handshake and gets the result of each session.
// Many sessions call its methods at once, and wait for them.
type Observer interface {
	// ChooseMode returns the mode for the handshake of a sender, or of a probe. It is called
	// once per ClientHello, with its fingerprint.
	ChooseMode(sender netip.Addr, ja4 string, probe bool) sessionticket.Mode

	// WantsCompleted reports whether the transcript of a full handshake that completed is
	// wanted. It is called at the first MAIL command, and must be quick.
	WantsCompleted(sender netip.Addr, ehlo, ja4 string, mode sessionticket.Mode) bool

	// SessionEnded is called with the result of each session, and logs it.
	SessionEnded(SessionResult)

	// CommandRefused is called for each command that is refused or deferred, and logs it.
	CommandRefused(RefusedCommand)

	// MessageAccepted is called for each acknowledged message.
	MessageAccepted(AcceptedMessage)
}

// An AcceptedMessage is a message that the next hop has accepted.
type AcceptedMessage struct {
	At         time.Time
	Sender     netip.AddrPort
	From       string
	Recipients []string
	Took       time.Duration // since MAIL
}

// Panicked is the End of a session that a fault of the server ended. Its Err has the stack.
const Panicked = "panic"

// A SessionResult is what is known of a session that has ended.
type SessionResult struct {
	ID       string // as in replies and in the log
	Began    time.Time
	Duration time.Duration
	Sender   netip.AddrPort
	EHLO     string // the last one
	Probe    bool   // a session of the operator's own probe; see [Settings].ProbeKey

	// HealthCheck says that a front-end connected on its own account, and brought no
	// message. Sender is the front-end.
	HealthCheck bool

	// Peer is the front-end if it named Sender by XCLIENT: the handshake is the front-end's.
	// Otherwise it is the zero AddrPort.
	Peer netip.AddrPort

	JA4  string             // see [handshake.ClientHello.SenderJA4]; empty if there was no ClientHello
	Mode sessionticket.Mode // of the handshake; without a meaning if there was no ClientHello
	TLS  *tls.ConnectionState

	Handshake time.Duration // that a completed one took

	// Certificate is what the handshake presented; nil if it resumed a session, or ended
	// before.
	Certificate *x509.Certificate

	// Transcript is nil if TLS did not begin, and if the sender reached MAIL: then
	// there is nothing to explain.
	Transcript *handshake.Transcript

	// Completed is the transcript of a handshake after which the sender reached MAIL, if
	// the observer wanted it.
	Completed *handshake.Transcript

	Messages   int // acknowledged
	Recipients int // of these messages
	Bytes      int64

	Refused, Deferred int // commands with a 5xx or a 4xx reply

	End string // how the session ended
	Err error  // nil if End says everything

	// Limit is the last limit that the sender has reached; nil if there was none.
	Limit *admission.Reached
}

func (s *session) result() SessionResult {
	return SessionResult{
		ID:          s.id,
		Began:       s.began,
		Duration:    time.Since(s.began),
		Sender:      s.addr,
		EHLO:        s.lastEHLO,
		Probe:       s.probe,
		HealthCheck: s.isHealthCheck(),
		Peer:        s.peer,
		JA4:         s.ja4,
		Mode:        s.mode,
		TLS:         s.tls,
		Handshake:   s.handshakeTime,
		Certificate: s.certificate,
		Transcript:  s.transcript,
		Completed:   s.completed,
		Messages:    s.messages,
		Recipients:  s.acknowledged,
		Bytes:       s.bytes,
		Refused:     s.refused,
		Deferred:    s.deferred,
		End:         s.end,
		Err:         s.err,
		Limit:       s.limit,
	}
}

// sessionKey is the key of the session in the context of its handshake.
type sessionKey struct{}

// sessionOf returns the session whose handshake begins with hello.
func sessionOf(hello *tls.ClientHelloInfo) *session {
	return hello.Context().Value(sessionKey{}).(*session)
}

// chooseMode returns the mode for the handshake that begins with hello.
func chooseMode(hello *tls.ClientHelloInfo) sessionticket.Mode {
	s := sessionOf(hello)
	if recorded := s.record.ClientHello(); recorded != nil {
		s.ja4 = recorded.SenderJA4()
	}
	s.mode = s.server.observer.ChooseMode(s.addr.Addr(), s.ja4, s.probe).For(hello)
	return s.mode
}

// gated returns base behind the gate. The recordings learn which tickets are made.
func gated(gate *sessionticket.Gate, base *tls.Config) *tls.Config {
	config := gate.Config(base)
	configFor := config.GetConfigForClient
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		config, err := configFor(hello) // this handshake's own
		if err != nil {
			return nil, err
		}
		session := sessionOf(hello)
		record, wrap := session.record, config.WrapSession
		if choose := config.GetCertificate; choose != nil {
			config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				chosen, err := choose(hello)
				if chosen != nil {
					session.certificate = chosen.Leaf
				}
				return chosen, err
			}
		}
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

// provingCommands is how many commands over TLS prove that the sender can use the
// connection: the ticket may leave with the reply to the first.
const provingCommands = 2

// recordCommand counts a command over TLS. The recording ends when the sender has proved that it
// can use the connection, and is discarded at MAIL.
func (s *session) recordCommand(verb string) {
	if s.tls == nil {
		return
	}
	s.tlsCommands++
	switch {
	case verb == "MAIL":
		if t := s.record.Stop(handshake.UseMail); t != nil {
			s.transcript = t
		}
		if t := s.transcript; t != nil && s.wantsCompleted() {
			t.Use = handshake.UseMail
			s.completed = t
		}
		s.transcript = nil
	case s.tlsCommands == provingCommands:
		s.transcript = s.record.Stop(handshake.UseData)
	}
}

func (s *session) wantsCompleted() bool {
	return !s.tls.DidResume && !s.probe && !s.peer.IsValid() && s.server.observer.WantsCompleted(s.addr.Addr(), s.lastEHLO, s.ja4, s.mode)
}

// stopRecording ends a recording that is still going on.
func (s *session) stopRecording() {
	use := handshake.UseNone
	if s.tlsCommands > 0 {
		use = handshake.UseData
	}
	if t := s.record.Stop(use); t != nil {
		s.transcript = t
	}
}
