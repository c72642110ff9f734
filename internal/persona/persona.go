// Package persona implements test clients that behave as the failing clients of package
// interop do, and healthy ones.
//
// A [Persona] connects to a mail server, does STARTTLS, and returns how far it got:
//
//	p, _ := persona.Find("early-ticket")
//	r := p.Run(ctx, persona.Target{Addr: "mx.example.org:25", EHLO: "probe.example.org"})
//	fmt.Println(r.Completed, r.Stage, r.Err)
//
// A persona does what reports say that a client did. It is no vendor's client: one with a
// library's name in its ID sends a ClientHello of that library's shape. Apart from the
// random bytes of TLS it is deterministic. To distinguish a server that is down from one
// where this client fails, run a healthy persona before and after.
//
// # Limits
//
// A run takes at most 45 s, or what its context allows. It reads lines of at most 2,048
// bytes and replies of at most 100 lines. In the handshake the limits of crypto/tls apply,
// 256 KiB for a certificate chain. At most 256 KiB of a connection are decrypted for the
// transcript, with the persona's own keys.
//
// Personas send EHLO and QUIT. They send a message only if [Target.Deliver] is set.
//
// A ClientHello in the shape of OpenSSL, GnuTLS or Schannel offers no more than utls can
// do, and one key share. After a HelloRetryRequest such a persona cannot resume.
//
// # Sources
//
//   - RFC 3207 (STARTTLS), RFC 8446 (TLS 1.3); each persona cites its own
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
	"postern/internal/probekey"
)

// A Persona is a mail client with one behaviour. Those that [All] and [Find] return are
// shared and must not be modified.
type Persona struct {
	ID   string // lower-case words joined by hyphens
	Case string // ID of its case in package interop; empty: none
	Does string // what it does, in one line without a full stop

	// Healthy means that it does what most senders do: if its handshake fails, the server
	// is down or broken.
	Healthy bool

	// Delay is how long it waits at the point that Does names; 0 for most.
	Delay time.Duration

	// A persona is a crypto/tls client, modified by configure if that is not nil, or if
	// shape is not nil a utls client with the ClientHello that it returns.
	configure func(*tls.Config, Target) error
	shape     func(Target) *utls.ClientHelloSpec

	// wrap, if not nil, wraps the connection below TLS.
	wrap func(net.Conn) net.Conn

	// onTicket, if not nil, returns why the client closes when it receives a session ticket
	// of that many bytes; nil if it does not close.
	onTicket func(size int) error

	delaysEHLO            bool // waits for Delay before the first command over TLS
	refusesTicketWithData bool // closes if a session ticket and data come in one segment
	injects               bool // pipelines a plaintext command behind STARTTLS
	fallsBack             bool // reconnects in plaintext when TLS fails
}

// All returns the personas: the healthy ones, then those of cases, in the order of package
// interop's catalogue, variants after their case.
func All() []*Persona { return slices.Clone(catalogue) }

// Find returns the persona with the given ID.
func Find(id string) (*Persona, bool) {
	i := slices.IndexFunc(catalogue, func(p *Persona) bool { return p.ID == id })
	if i < 0 {
		return nil, false
	}
	return catalogue[i], true
}

// catalogue lists all personas. Each is defined in the file of its family.
var catalogue = []*Persona{
	&healthyGo,
	&healthyOpenSSL,
	&healthyGnuTLS,
	&healthySchannel,

	// tickets.go
	&earlyTicket,
	&ticketInFinishedRead,
	&ticketAfterFinished,
	&ticketSurprisesClient,
	&ticketWithData,
	&largeTicket,
	&ticketWithoutPSKModes,

	// versions.go, certificates.go
	&tls12Only,
	&tls10Only,
	&fallsBackToPlaintext,
	&rsaOnlyClient,
	&sha1SignaturesOnly,

	// groups.go
	&groupMismatch,
	&p521First,
	&helloRetry,
	&helloRetryRefused,

	// hellosize.go
	&bigHello,
	&bigHelloSplit,
	&bigHelloBytes,
	&mlDSAHello,

	// certificates.go, names.go
	&certificateRefused,
	&clientCertificateAsked,
	&unknownSNI,
	&noSNI,
	&sniTrailingDot,
	&sniAddress,

	// starttls.go
	&plaintextAfterSTARTTLS,
}

// A Target is the server that a persona connects to.
type Target struct {
	Addr     string // host:port
	Protocol Protocol

	// ServerName is the name for SNI and certificate verification. Empty: the host of Addr.
	ServerName string

	// EHLO is the client's name. Empty: its address as a literal (RFC 5321, Section 4.1.3).
	EHLO string

	// Key identifies the client as a probe to a server that has it. It then says so in EHLO,
	// unless it has a message to deliver. The zero Key: it is like any client.
	Key probekey.Key

	// RootCAs are for the persona that verifies certificates. Nil: the system's.
	RootCAs *x509.CertPool

	// Deliver is a message to send by SMTP. Nil: none is sent.
	Deliver *TestMessage

	// Dial opens the connection. Nil: that of a [net.Dialer].
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// complete returns t with defaults filled in, or an error if t is invalid.
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
		return t, fmt.Errorf("EHLO name %q: contains a space, a bracket or a control character", t.EHLO)
	}
	if t.Deliver != nil {
		return t, t.Deliver.Check()
	}
	return t, nil
}

// isWord reports whether s is safe as an argument of an SMTP command.
func isWord(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '<' || r == '>' })
}

// A Result is the outcome of one run. Strings and certificates are the server's own bytes:
// escape them before printing.
type Result struct {
	// Completed means that the handshake completed and a command over TLS was answered.
	Completed bool

	// Stage is how far the client got; with Err, where it failed.
	Stage Stage

	// Transcript is the handshake as the client saw it, decrypted with its own keys; nil if
	// TLS did not start.
	Transcript *handshake.Transcript

	// TLS has the version, the cipher suite, DidResume and the server's certificates; nil if
	// the handshake did not complete. The certificates are verified only if the persona does
	// so; those of a resumed session are from its first handshake.
	TLS *tls.ConnectionState

	// Greeting is the server's greeting; EHLO and SecureEHLO are its replies to EHLO,
	// CAPABILITY or CAPA, in plaintext and over TLS. At most 100 lines each, of at most
	// 2,048 bytes, without line ends.
	Greeting, EHLO, SecureEHLO []string

	// Err is why the client failed, during the handshake or after it. It is nil if the
	// client completed everything and quit.
	Err error

	// Plaintext means that TLS failed, and that the server answered when the client
	// reconnected without TLS.
	Plaintext bool

	// Injected means that the server executed a plaintext command pipelined behind STARTTLS
	// (CVE-2011-0411).
	Injected bool

	// Delivered means that the server accepted the message of Target.Deliver.
	Delivered bool

	// Recognised means that the server recognised the client as a probe, by Target.Key.
	Recognised bool

	// Replies are the last lines of the server's replies to a message with a false end: to
	// the text, to what it took for commands behind it, and to QUIT; at most 20.
	Replies []string

	sessions *sessions // for resumption
}

// Resumable reports whether the client has a session that it can resume, by
// [Persona.Resume].
func (r *Result) Resumable() bool { return r.sessions.held() }

// retried reports whether the server sent a HelloRetryRequest.
func (r *Result) retried() bool {
	return r.Transcript != nil && r.Transcript.ServerHello != nil && r.Transcript.ServerHello.Retried
}

func (r *Result) fail(err error) {
	if err != nil {
		r.Err = fmt.Errorf("persona: %s: %w", r.Stage, err)
	}
}

// use is the transcript's Use: what the messages do not show.
func (r *Result) use() handshake.Use {
	if r.Delivered {
		return handshake.UseMail
	}
	return handshake.UseNone
}

// A Stage is a step of a run.
type Stage uint8

// The stages, in order.
const (
	AtConnect Stage = iota
	AtGreeting
	AtEHLO
	AtSTARTTLS
	AtHandshake
	AfterTLS // in SMTP over TLS
)

// String returns the stage in one or two words.
func (s Stage) String() string {
	return [...]string{"connect", "greeting", "EHLO", "STARTTLS", "handshake", "after TLS"}[min(s, AfterTLS)]
}
