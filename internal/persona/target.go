package persona

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
)

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
	Deliver *Letter

	// Dial connects. Nil: a [net.Dialer] does.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// A Protocol is how TLS is reached.
type Protocol uint8

// The protocols.
const (
	SMTP     Protocol = iota // STARTTLS (RFC 3207)
	Implicit                 // SMTP over TLS from the first byte (RFC 8314, Section 3)
	IMAP                     // STARTTLS (RFC 9051, Section 6.2.1)
	POP3                     // STLS (RFC 2595, Section 4)

	ImplicitIMAP // IMAP over TLS from the first byte (RFC 8314, Section 3)
	ImplicitPOP3 // POP3 likewise
)

// Implicit reports whether TLS begins with the first byte.
func (p Protocol) Implicit() bool { return p == Implicit || p == ImplicitIMAP || p == ImplicitPOP3 }

// Mail reports whether the protocol is one to send mail with.
func (p Protocol) Mail() bool { return p == SMTP || p == Implicit }

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
