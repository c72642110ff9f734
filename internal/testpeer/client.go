package testpeer

import (
	"fmt"
	"strings"
)

// A Message is what a client sends. Empty fields have defaults.
type Message struct {
	From string // envelope sender; sender@sender.test
	To   string // envelope recipient; user@localhost
	Text string // header and body, sent with CRLF; a short text
}

func (m Message) orDefault() Message {
	if m.From == "" {
		m.From = "sender@sender.test"
	}
	if m.To == "" {
		m.To = "user@localhost"
	}
	if m.Text == "" {
		m.Text = fmt.Sprintf("From: <%s>\nTo: <%s>\nSubject: a test\n\nHello.\n", m.From, m.To)
	}
	return m
}

// envelope returns the commands before the text.
func (m Message) envelope() []string {
	return []string{"MAIL FROM:<" + m.From + ">", "RCPT TO:<" + m.To + ">", "DATA"}
}

// dotted returns the text as sent after 354: with CRLF, leading dots doubled, and the final
// dot (RFC 5321, Section 4.5.2).
func (m Message) dotted() string {
	text := strings.ReplaceAll(m.Text, "\r\n", "\n")
	text = strings.TrimSuffix(text, "\n") + "\n"
	text = strings.ReplaceAll("\n"+text, "\n.", "\n..")[1:]
	return strings.ReplaceAll(text, "\n", "\r\n") + ".\r\n"
}

// batch returns all commands of an SMTP session that sends n copies of m, each with a header
// field X-Number, from 1.
func (m Message) batch(n int) string {
	var b strings.Builder
	b.WriteString("EHLO sender.test\r\n")
	for i := range n {
		numbered := m
		numbered.Text = fmt.Sprintf("X-Number: %d\n%s", i+1, m.Text)
		b.WriteString(strings.Join(m.envelope(), "\r\n") + "\r\n" + numbered.dotted())
	}
	b.WriteString("QUIT\r\n")
	return b.String()
}

// A Delivery is the result of sending one message.
type Delivery struct {
	Delivered bool   // the server replied 250 to the text
	Resumed   bool   // over a resumed TLS session
	Reply     string // last line of the last reply after STARTTLS
	Output    string // all output of the client
}

// QueueOptions are the queue of a sending mail server and how it sends.
type QueueOptions struct {
	Messages  int     // copies of Message in the queue; 0 means 1
	Message   Message // each copy has a header field X-Number, from 1
	Handshake Handshake
	// Config are further lines of configuration: of main.cf for Postfix, of the smtp
	// transport for Exim.
	Config []string
}

func (o QueueOptions) orDefault() QueueOptions {
	o.Messages = max(o.Messages, 1)
	o.Message = o.Message.orDefault()
	return o
}

// A QueueRun is the result of sending a queue. Each message has a connection of its own.
type QueueRun struct {
	Sent     int    // messages delivered
	Bounced  int    // messages rejected permanently
	Deferred int    // attempts that ended with 4xx or a broken connection
	Resumed  int    // connections with a resumed TLS session
	Log      string // the sending server's log
}

// A Handshake is a kind of TLS handshake that a client is configured for.
type Handshake int

const (
	// UsualHandshake is the client's default.
	UsualHandshake Handshake = iota
	// RetriedHandshake is TLS 1.3 with key shares only for groups that crypto/tls
	// lacks, so that a Go server answers with a HelloRetryRequest (RFC 8446,
	// Section 4.1.4). A server that supports X448 does not.
	RetriedHandshake
	// TLS12Handshake offers TLS 1.2 at most.
	TLS12Handshake
	// RSAHandshake accepts signatures by RSA keys only, so that a server with two
	// certificates has to choose.
	RSAHandshake
)

// Handshakes has all kinds.
var Handshakes = []Handshake{UsualHandshake, RetriedHandshake, TLS12Handshake, RSAHandshake}

// String returns a name for a subtest.
func (h Handshake) String() string {
	return [...]string{"Usual", "Retried", "TLS12", "RSA"}[h]
}

// retryGroups is RetriedHandshake for OpenSSL, which sends a key share for the first group.
const retryGroups = "X448:X25519"

// RSAHandshake for OpenSSL: signatures for TLS 1.3, cipher suites for TLS 1.2.
const (
	rsaSignatures = "RSA-PSS+SHA256:RSA+SHA256"
	rsaCiphers    = "DEFAULT:!aECDSA"
)

// opensslLines are the settings of OpenSSL's configuration file for h:
// SSL_CONF_cmd(3), "Supported configuration file commands".
func (h Handshake) opensslLines() []string {
	switch h {
	case RetriedHandshake:
		return []string{"Groups = " + retryGroups}
	case TLS12Handshake:
		return []string{"MaxProtocol = TLSv1.2"}
	case RSAHandshake:
		return []string{"SignatureAlgorithms = " + rsaSignatures, "CipherString = " + rsaCiphers}
	}
	return nil
}

// opensslConfig writes a configuration file for OPENSSL_CONF that applies h to any program
// using OpenSSL.
func (h Handshake) opensslConfig(t T, dir folder) string {
	t.Helper()
	lines := []string{
		"openssl_conf = program",
		"[program]", "ssl_conf = contexts",
		"[contexts]", "system_default = every_context",
		"[every_context]",
	}
	return dir.write(t, "openssl.cnf", append(lines, h.opensslLines()...)...)
}

// gnutlsPriority returns h as a GnuTLS priority string. GnuTLS sends a key share for the first
// group of each of two kinds; X448 and X25519 are of the same kind.
func (h Handshake) gnutlsPriority() string {
	switch h {
	case RetriedHandshake:
		return "NORMAL:-GROUP-ALL:+GROUP-X448:+GROUP-X25519"
	case TLS12Handshake:
		return "NORMAL:-VERS-ALL:+VERS-TLS1.2"
	case RSAHandshake:
		return "NORMAL:-KX-ALL:+ECDHE-RSA:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256"
	}
	return "NORMAL"
}
