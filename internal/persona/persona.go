// Package persona plays the clients that fail at mail servers, and healthy ones.
//
// A [Persona] does what the reports of a case of package interop say that some client
// did, or what most senders do. It visits a server, tries to get in over TLS, and says
// how far it came:
//
//	p, _ := persona.Find("early-ticket")
//	visit := p.Visit(ctx, persona.Target{Addr: "mx.example.org:25", EHLO: "probe.example.org"})
//	fmt.Println(visit.In, visit.Stage, visit.Err)
//
// A persona is no vendor's client and shows none: one that has a library's name in its
// ID sends a ClientHello of that shape. It is deterministic but for the random bytes of
// TLS. A visit to a healthy server before and after tells a server that was down from
// one where this client fails.
//
// # Limits
//
// A visit takes at most 45 s, or what its context allows. It reads lines of at most
// 2,048 bytes, and replies of at most 100 lines; in the handshake crypto/tls has bounds of
// its own, 256 KiB for a chain of certificates. Of a connection at most 256 KiB are
// opened with the persona's own keys, which nobody else gets.
//
// Personas say EHLO and QUIT. They send a message only if [Target.Deliver] is set.
//
// A shape of OpenSSL, GnuTLS or Schannel offers no more than utls can do, and brings one
// key. Where it meets a HelloRetryRequest it does not resume: see [Persona.Resume].
//
// # Sources
//
//   - RFC 3207 (STARTTLS), RFC 8446 (TLS 1.3); each persona names those of its own
//   - the cases of package interop, with the reports
package persona

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	utls "github.com/refraction-networking/utls"

	"postern/handshake"
)

// A Persona is a client of mail servers with one behaviour. Those that [All] and
// [Find] return are shared: they must not be changed.
type Persona struct {
	ID   string // lower-case words joined by hyphens
	Case string // ID of the case of package interop that it belongs to; empty: none
	Does string // what it does, in one line without a full stop

	// Healthy reports that it does what most senders do: a server where it does not get
	// in is down, or has a fault of its own.
	Healthy bool

	// Delay is how long it waits at one point, which Does names; most do not.
	Delay time.Duration

	// A persona is a crypto/tls client with configure, if that is not nil, or one with
	// the ClientHello of shape, which is made anew for each connection.
	configure func(*tls.Config, Target) error
	shape     func(Target) *utls.ClientHelloSpec

	// wrap, when not nil, returns what goes between TLS and the connection.
	wrap func(net.Conn) net.Conn

	// onTicket, when not nil, says why the client leaves over a ticket of that many bytes,
	// or nil if it stays.
	onTicket func(ticket int) error

	delaysEHLO bool // for Pause, before its first command over TLS
	injects    bool // a command in clear behind STARTTLS
	fallsBack  bool // comes back in plaintext when TLS fails
}

// All returns the personas: the healthy ones, then those of cases, in the order of the
// catalogue of package interop, each with its relatives.
func All() []*Persona { return slices.Clone(catalogue) }

// Find returns the persona with the given ID.
func Find(id string) (*Persona, bool) {
	i := slices.IndexFunc(catalogue, func(p *Persona) bool { return p.ID == id })
	if i < 0 {
		return nil, false
	}
	return catalogue[i], true
}

// catalogue is all personas. Each is in the file of its family; a new one is added here
// by hand.
var catalogue = []*Persona{
	&healthyGo,
	&healthyOpenSSL,
	&healthyGnuTLS,
	&healthySchannel,

	// Tickets.
	&earlyTicket,
	&ticketAfterFinished,
	&ticketSurprisesClient,
	&largeTicket,
	&ticketWithoutPSKModes,

	// Versions, suites, groups, signatures.
	&tls12Only,
	&tls10Only,
	&fallsBackToPlaintext,
	&rsaOnlyClient,
	&sha1SignaturesOnly,
	&groupMismatch,
	&p521First,
	&helloRetry,
	&helloRetryRefused,
	&bigHello,
	&bigHelloSplit,
	&bigHelloBytes,

	// Certificates and names.
	&certificateRefused,
	&clientCertificateAsked,
	&unknownSNI,
	&noSNI,
	&sniTrailingDot,
	&sniAddress,

	// The SMTP around it.
	&plaintextAfterSTARTTLS,
}

// A Target is the server that a persona visits.
type Target struct {
	Addr     string // host:port
	Protocol Protocol

	// ServerName is the name for SNI, and the one that a certificate is verified for.
	// Empty: the host of Addr.
	ServerName string

	// EHLO is the name the client gives itself. Empty: its address as a literal (RFC
	// 5321, Section 4.1.3).
	EHLO string

	// RootCAs are for the persona that verifies. Nil: those of the system.
	RootCAs *x509.CertPool

	// Deliver is the envelope of a message to send, in SMTP. Nil: none is sent.
	Deliver *TestMessage

	// Dial connects. Nil: a [net.Dialer] does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Protocol is how TLS is reached.
type Protocol uint8

// The protocols.
const (
	SMTP  Protocol = iota // STARTTLS (RFC 3207)
	SMTPS                 // SMTP over TLS from the first byte (RFC 8314, Section 3)
	IMAP                  // STARTTLS (RFC 9051, Section 6.2.1)
	POP3                  // STLS (RFC 2595, Section 4)

	IMAPS // IMAP over TLS from the first byte (RFC 8314, Section 3)
	POP3S // POP3 likewise
)

// Implicit reports whether TLS begins with the first byte.
func (p Protocol) Implicit() bool { return p == SMTPS || p == IMAPS || p == POP3S }

// Mail reports whether the protocol is one to send mail with.
func (p Protocol) Mail() bool { return p == SMTP || p == SMTPS }

// complete returns t with its defaults, or what is wrong with it.
func (t Target) complete() (Target, error) {
	host, _, err := net.SplitHostPort(t.Addr)
	if err != nil {
		return t, fmt.Errorf("target %q: want host:port", t.Addr)
	}
	if t.ServerName == "" {
		t.ServerName = host
	}
	if t.Dial == nil {
		t.Dial = new(net.Dialer).DialContext
	}
	if !isWord(t.EHLO) {
		return t, fmt.Errorf("EHLO name %q: has a space, a bracket or a control character", t.EHLO)
	}
	if t.Deliver != nil {
		return t, t.Deliver.Check()
	}
	return t, nil
}

// isWord reports whether s can stand in a command without becoming another.
func isWord(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' })
}

// A Result is what became of one visit. Strings and certificates are the server's own
// bytes: whoever prints them escapes them.
type Result struct {
	// Completed reports that the handshake was completed and a command answered over TLS.
	Completed bool

	// Stage is how far it came; where Err is set, where that happened.
	Stage Stage

	// Transcript is the handshake as the client saw it, opened with its own keys; nil
	// when it did not come to TLS.
	Transcript *handshake.Transcript

	// TLS has the version, the cipher suite, DidResume and the server's certificates; nil if
	// the handshake did not complete. The certificates are verified only if the persona does
	// so; those of a resumed session are of its first handshake.
	TLS *tls.ConnectionState

	// Greeting and EHLO are what the server said at first and to EHLO, or to CAPABILITY
	// or CAPA, in clear; SecureEHLO the same over TLS. At most 100 lines each, of at
	// most 2,048 bytes, without their ends.
	Greeting, EHLO, SecureEHLO []string

	// Err is why the client did not get in, or what went wrong after it had. It is nil for
	// a client that got in and left in good order.
	Err error

	// Plaintext reports that the client failed, came back without TLS, and was heard.
	Plaintext bool

	// Injected reports that the server executed a command that came in clear behind
	// STARTTLS (CVE-2011-0411).
	Injected bool

	// Delivered reports that the server took the message of Target.Deliver.
	Delivered bool

	// Replies are what the server said to a letter with a false end: to the text, to
	// what it took for commands behind it, and to QUIT; a line each, at most 20.
	Replies []string

	tickets *tickets // what the server gave
}

// Resumable reports whether the server gave the client what it needs to resume: see
// [Persona.Resume].
func (v *Result) Resumable() bool { return v.tickets.held() }

// retried reports whether the server sent a HelloRetryRequest.
func (v *Result) retried() bool {
	return v.Transcript != nil && v.Transcript.ServerHello != nil && v.Transcript.ServerHello.Retried
}

// fail notes err, if it is one, as what ended the visit.
func (v *Result) fail(err error) {
	if err != nil {
		v.Err = fmt.Errorf("persona: %s: %w", v.Stage, err)
	}
}

// use is what a transcript calls it, as far as it does not tell by itself.
func (v *Result) use() handshake.Use {
	if v.Delivered {
		return handshake.UseMail
	}
	return handshake.UseNone
}

// A Stage is a part of a visit.
type Stage uint8

// The stages, in their order.
const (
	AtConnect Stage = iota
	AtGreeting
	AtEHLO
	AtSTARTTLS
	AtHandshake
	AfterTLS // in SMTP over TLS
)

// String names the stage in one or two words.
func (s Stage) String() string {
	return [...]string{"connect", "greeting", "EHLO", "STARTTLS", "handshake", "after TLS"}[min(s, AfterTLS)]
}
