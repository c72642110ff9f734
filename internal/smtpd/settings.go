package smtpd

import (
	"crypto/tls"
	"time"

	"postern/internal/admission"
	"postern/internal/probekey"
	"postern/internal/smtp"
	"postern/sessionticket"
)

// Settings are what a reload may change. A session keeps those that it began with.
type Settings struct {
	// Hostname is the server's name in its greeting and in Received fields.
	Hostname string

	// Domains are the domains to accept mail for. A bare postmaster is in the first
	// (RFC 5321, Section 4.5.1).
	Domains []string

	// Recipients, if there are any, are the only addresses to accept mail for, besides
	// postmaster. If there are none, the next hop decides.
	Recipients []string

	// TLS is for STARTTLS and implicit TLS. If it is nil, neither is offered.
	TLS *tls.Config

	// ProbeKey recognises the sessions of the operator's own probes, which deliver no mail.
	ProbeKey probekey.Key

	Limits Limits
}

// Limits bound what a sender can use. A zero field means the value in
// [DefaultLimits].
type Limits struct {
	MessageSize int64 // bytes
	TextLine    int   // bytes in a line of a message, without CRLF
	CommandLine int   // bytes in a command, with CRLF; at most [MaxCommandLine]
	Recipients  int   // per message
	Messages    int   // per session
	Commands    int   // per session, for each message
	Errors      int   // refused commands per session
	Hops        int   // Received fields of a message; more mean a mail loop

	CommandTimeout   time.Duration // for a whole command line, and for all of a message together
	TextTimeout      time.Duration // for each 32 KiB of a message
	WriteTimeout     time.Duration // for writing a reply
	HandshakeTimeout time.Duration // for a whole TLS handshake
	SessionTime      time.Duration // for a whole session

	admission.Quotas // Starts are TLS handshakes, Bytes are message text
}

// MaxCommandLine is the maximum of [Limits].CommandLine: a session reads that much at
// once.
const MaxCommandLine = bufferSize

// DefaultLimits let the outbound network of a large mail provider deliver without
// delay, and suit a machine with 2 cores and 1 GiB. Timeouts are those of RFC 5321,
// Section 4.5.3.2, if it has one.
var DefaultLimits = Limits{
	MessageSize: 50 << 20,
	TextLine:    64 << 10, // 1,000 in RFC 5321; mail with far longer lines is common
	CommandLine: 2048,     // 512 in RFC 5321; the extensions offered add to that
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
	quotaOrDefault(&l.Total, d.Total)
	quotaOrDefault(&l.PerNetwork, d.PerNetwork)
	return l
}

func quotaOrDefault(q *admission.Quota, d admission.Quota) {
	orDefault(&q.Connections, d.Connections)
	orDefault(&q.Starts, d.Starts)
	orDefault(&q.Bytes, d.Bytes)
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

// setup is Settings in the form that sessions use.
type setup struct {
	Settings
	tls        *tls.Config // through the gate
	recipients *acceptance
}

func newSetup(s Settings, gate *sessionticket.Gate) *setup {
	s.Limits = s.Limits.withDefaults()
	made := &setup{Settings: s, recipients: newAcceptance(s.Domains, s.Recipients)}
	if s.TLS != nil {
		made.tls = gated(gate, s.TLS)
	}
	return made
}
