package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"postern/internal/smtp"
)

// timeout bounds every wait. It is long, so that a busy machine does not end a load.
const timeout = 60 * time.Second

// envelope has the commands before the text (RFC 5321, Section 3.3).
var envelope = [][]byte{
	[]byte("MAIL FROM:<sender@bench.test>\r\n"),
	[]byte("RCPT TO:<user@localhost>\r\n"),
	[]byte("DATA\r\n"),
}

var (
	pipelined     = bytes.Join(envelope, nil)
	envelopeCodes = []int{250, 250, 354}
	envelopeNames = []string{"MAIL", "RCPT", "DATA"}
)

// A Conn is a connection to an SMTP server that is ready for messages.
type Conn struct {
	conn       net.Conn
	in         *bufio.Reader
	pipelining bool
	resumed    bool
}

// dial connects to addr and sends EHLO, and if config is not nil STARTTLS and EHLO again.
func dial(addr string, config *tls.Config) (*Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	c := new(Conn)
	c.use(conn)
	if err := c.open(config); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) open(config *tls.Config) error {
	if err := c.expect("the greeting", 220); err != nil {
		return err
	}
	if err := c.hello(); err != nil || config == nil {
		return err
	}
	if err := c.command("STARTTLS", 220); err != nil {
		return err
	}
	secure := tls.Client(c.conn, config)
	if err := secure.Handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.resumed = secure.ConnectionState().DidResume
	c.use(secure)
	return c.hello()
}

func (c *Conn) use(conn net.Conn) {
	c.conn = conn
	c.in = bufio.NewReaderSize(conn, 1024)
}

// Resumed reports whether the TLS session was resumed.
func (c *Conn) Resumed() bool { return c.resumed }

// Close closes the connection without QUIT.
func (c *Conn) Close() error { return c.conn.Close() }

func (c *Conn) hello() error {
	if err := c.write([]byte("EHLO bench.test\r\n")); err != nil {
		return err
	}
	reply, err := c.reply("EHLO", 250)
	c.pipelining = smtp.ParseCapabilities(reply).Has("PIPELINING")
	return err
}

func (c *Conn) quit() error { return c.command("QUIT", 221) }

// command sends a command and expects a reply code.
func (c *Conn) command(command string, code int) error {
	if err := c.write([]byte(command + "\r\n")); err != nil {
		return err
	}
	return c.expect(command, code)
}

// message sends the envelope and the text, which ends with its final dot. It returns nil if the
// server accepts the message.
func (c *Conn) message(text []byte) error {
	if err := c.envelope(); err != nil {
		return err
	}
	if err := c.write(text); err != nil {
		return err
	}
	return c.expect("the message", 250)
}

func (c *Conn) envelope() error {
	if c.pipelining {
		if err := c.write(pipelined); err != nil {
			return err
		}
	}
	for i, command := range envelope {
		if !c.pipelining {
			if err := c.write(command); err != nil {
				return err
			}
		}
		if err := c.expect(envelopeNames[i], envelopeCodes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Conn) write(p []byte) error {
	_, err := c.conn.Write(p)
	return err
}

// expect reads the reply to what was sent, which must have the code.
func (c *Conn) expect(what string, code int) error {
	_, err := c.reply(what, code)
	return err
}

func (c *Conn) reply(what string, code int) (smtp.Reply, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return smtp.Reply{}, err
	}
	reply, err := smtp.ReadReply(c.in)
	switch {
	case err != nil:
		return reply, fmt.Errorf("reply to %s: %w", what, err)
	case reply.Code != code:
		return reply, fmt.Errorf("reply to %s: %q, want %d", what, reply, code)
	}
	return reply, nil
}

// clientConfig returns TLS 1.3 with one group, the same for every server, whatever newer groups
// its library has.
func clientConfig(l Load) *tls.Config {
	groups := l.Groups
	if groups == nil {
		groups = []tls.CurveID{tls.X25519}
	}
	return &tls.Config{
		ServerName:         "localhost",
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   groups,
		ClientSessionCache: &lastTicket{resume: l.Resume},
		// Most sending mail servers accept any certificate.
		InsecureSkipVerify: true,
		VerifyConnection:   hasCertificate(l.Certificate),
		// One record a write, as in other libraries.
		DynamicRecordSizingDisabled: true,
	}
}

var errCertificate = errors.New("server sends another certificate than expected")

// hasCertificate checks that the server sends the certificate.
func hasCertificate(cert *x509.Certificate) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if !bytes.Equal(state.PeerCertificates[0].Raw, cert.Raw) {
			return errCertificate
		}
		return nil
	}
}

// A lastTicket is a session cache with the last ticket that the server sent. It offers the same
// one until there is a newer one, since OpenSSL sends none in a resumed handshake while the key
// of the old one is valid. Without resume it keeps none, but since there is a cache the client
// still asks for tickets. It is for one sender.
type lastTicket struct {
	resume bool
	ticket *tls.ClientSessionState
}

func (t *lastTicket) Get(string) (*tls.ClientSessionState, bool) {
	return t.ticket, t.ticket != nil
}

func (t *lastTicket) Put(_ string, ticket *tls.ClientSessionState) {
	if t.resume {
		t.ticket = ticket
	}
}
