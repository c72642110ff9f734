package smtpd

import (
	"crypto/tls"
	"time"

	"postern/internal/admission"
	"postern/internal/smtp"
	"postern/sessionticket"
)

// Settings are what may change while the server runs. A session keeps those
// that it began with.
type Settings struct {
	// Hostname is what the server calls itself in its greeting and in
	// Received fields.
	Hostname string

	// Domains are those that mail is taken for. The first is the one of a
	// bare postmaster (RFC 5321, Section 4.5.1).
	Domains []string

	// Recipients, if there are any, are the only addresses that mail is taken
	// for, besides postmaster. Else the next hop says which ones it knows.
	Recipients []string

	// TLS serves STARTTLS and implicit TLS. If it is nil, there is neither.
	TLS *tls.Config

	Limits Limits
}

// Limits bound what a sender can ask of us. A zero field takes its value from
// [DefaultLimits].
type Limits struct {
	MessageSize int64 // bytes
	TextLine    int   // bytes of one line of a message's text, CRLF not counted
	CommandLine int   // bytes of a command, CRLF included; at most [MaxCommandLine]
	Recipients  int   // of one message
	Messages    int   // of one session
	Commands    int   // of one session, for each message it may bring
	Errors      int   // refused commands of one session
	Hops        int   // Received fields of a message, a sign of a loop

	CommandTimeout   time.Duration // for a whole command line
	TextTimeout      time.Duration // for each 32 KiB of a message's text
	WriteTimeout     time.Duration // for a reply to leave
	HandshakeTimeout time.Duration // for a whole TLS handshake
	SessionTime      time.Duration // for a whole session

	admission.Quotas // of TLS handshakes, and of bytes of message text
}

// MaxCommandLine is the most that [Limits].CommandLine can be: what a session
// reads at once.
const MaxCommandLine = bufferSize

// DefaultLimits let a large mail provider's outbound network in without
// waiting and keep a machine of 2 cores and 1 GiB well. Times are those of
// RFC 5321, Section 4.5.3.2, where it names one.
var DefaultLimits = Limits{
	MessageSize: 50 << 20,
	TextLine:    64 << 10, // RFC 5321 says 1,000; mail with far longer lines is common
	CommandLine: 2048,     // RFC 5321 says 512; the extensions offered add to that
	Recipients:  100,      // RFC 5321, Section 4.5.3.1.8: at least this
	Messages:    1000,
	Commands:    1000,
	Errors:      20,
	Hops:        100, // RFC 5321, Section 6.3

	CommandTimeout:   5 * time.Minute,
	TextTimeout:      3 * time.Minute,
	WriteTimeout:     time.Minute,
	HandshakeTimeout: 30 * time.Second,
	SessionTime:      2 * time.Hour,

	Quotas: admission.Quotas{
		Total:      admission.Quota{Connections: 10_000, Starts: 1000, Bytes: 100 << 20},
		PerNetwork: admission.Quota{Connections: 200, Starts: 100, Bytes: 20 << 20},
	},
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits
	orDefault(&l.MessageSize, d.MessageSize)
	orDefault(&l.TextLine, d.TextLine)
	orDefault(&l.CommandLine, d.CommandLine)
	orDefault(&l.Recipients, d.Recipients)
	orDefault(&l.Messages, d.Messages)
	orDefault(&l.Commands, d.Commands)
	orDefault(&l.Errors, d.Errors)
	orDefault(&l.Hops, d.Hops)
	orDefault(&l.CommandTimeout, d.CommandTimeout)
	orDefault(&l.TextTimeout, d.TextTimeout)
	orDefault(&l.WriteTimeout, d.WriteTimeout)
	orDefault(&l.HandshakeTimeout, d.HandshakeTimeout)
	orDefault(&l.SessionTime, d.SessionTime)
	shareOrDefault(&l.Total, d.Total)
	shareOrDefault(&l.PerNetwork, d.PerNetwork)
	return l
}

func shareOrDefault(s *admission.Quota, d admission.Quota) {
	orDefault(&s.Connections, d.Connections)
	orDefault(&s.Starts, d.Starts)
	orDefault(&s.Bytes, d.Bytes)
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (l Limits) text() smtp.TextLimits {
	return smtp.TextLimits{Size: l.MessageSize, Line: l.TextLine, Hops: l.Hops}
}

// setup is Settings made ready for sessions.
type setup struct {
	Settings
	tls   *tls.Config // through the gate
	taken *acceptance
}

func newSetup(s Settings, gate *sessionticket.Gate) *setup {
	s.Limits = s.Limits.withDefaults()
	made := &setup{Settings: s, taken: newAcceptance(s.Domains, s.Recipients)}
	if s.TLS != nil {
		made.tls = gated(gate, s.TLS)
	}
	return made
}
