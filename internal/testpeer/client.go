package testpeer

import (
	"fmt"
	"strings"
)

// Message is what a client sends. Each empty field has a default.
type Message struct {
	From string // envelope sender; sender@sender.test
	To   string // envelope recipient; user@localhost
	Text string // header and body; a short one. Line ends are made CRLF.
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

// envelope is the commands before the text.
func (m Message) envelope() []string {
	return []string{"MAIL FROM:<" + m.From + ">", "RCPT TO:<" + m.To + ">", "DATA"}
}

// dotted is the text as it follows 354: lines end in CRLF, leading dots are
// doubled, and the final dot stands there (RFC 5321, Section 4.5.2).
func (m Message) dotted() string {
	text := strings.ReplaceAll(m.Text, "\r\n", "\n")
	text = strings.TrimSuffix(text, "\n") + "\n"
	text = strings.ReplaceAll("\n"+text, "\n.", "\n..")[1:]
	return strings.ReplaceAll(text, "\n", "\r\n") + ".\r\n"
}

// batch is a whole SMTP dialogue's commands for n copies of m, each with a
// header field that numbers it from 1.
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

// Delivery is what became of one message that a client sent.
type Delivery struct {
	Delivered bool   // the server answered 250 to the whole message
	Resumed   bool   // over a resumed TLS session
	Reply     string // the last reply that the client got after STARTTLS, its last line
	Output    string // all that the client printed, for the text of a failure
}

// QueueOptions says what a mail server that sends has in its queue, and how it sends.
type QueueOptions struct {
	Messages  int     // how many copies of Message are queued; 0 means 1
	Message   Message // each copy has a header field X-Number, from 1 on
	Handshake Handshake
	// Config are further lines of the server's configuration: of main.cf for
	// Postfix, of the smtp transport for Exim.
	Config []string
}

func (o QueueOptions) orDefault() QueueOptions {
	o.Messages = max(o.Messages, 1)
	o.Message = o.Message.orDefault()
	return o
}

// QueueRun is what became of a queue. Each message has a connection of its own.
type QueueRun struct {
	Sent     int    // messages delivered
	Bounced  int    // messages refused for good
	Deferred int    // attempts put off by the server's 4xx or by a broken connection
	Resumed  int    // connections over resumed TLS sessions
	Log      string // the sending server's log
}

// Handshake is the kind of TLS handshake that a client is made to ask for.
type Handshake int

const (
	// UsualHandshake is what the client does by itself.
	UsualHandshake Handshake = iota
	// RetriedHandshake is TLS 1.3 with key shares only for groups that crypto/tls
	// lacks, so that a Go server answers with a HelloRetryRequest (RFC 8446,
	// Section 4.1.4). A server that knows X448 takes it without.
	RetriedHandshake
	// TLS12Handshake offers TLS 1.2 at most.
	TLS12Handshake
	// RSAHandshake accepts signatures by RSA keys alone, so that a server with
	// two certificates has to choose.
	RSAHandshake
)

// Handshakes are all kinds, for tests that try each.
var Handshakes = []Handshake{UsualHandshake, RetriedHandshake, TLS12Handshake, RSAHandshake}

// String returns a name fit for a subtest.
func (h Handshake) String() string {
	return [...]string{"Usual", "Retried", "TLS12", "RSA"}[h]
}

// retryGroups is RetriedHandshake in OpenSSL's words: one key share, for the first.
const retryGroups = "X448:X25519"

// RSAHandshake in the words of OpenSSL: signatures for TLS 1.3, cipher suites for TLS 1.2.
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

// opensslConfig writes a configuration file that makes every program on
// OpenSSL handshake as h says when OPENSSL_CONF points to it.
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

// gnutlsPriority is h as a GnuTLS priority string. GnuTLS sends a key share
// for the first group of each of two kinds; these two are of one kind.
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
