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
)

// timeout bounds all that is waited for. It is generous: a loaded machine is
// no failure.
const timeout = 60 * time.Second

// envelope is the commands before the text (RFC 5321, Section 3.3).
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

// Conn is a connection to an SMTP server that is ready for messages.
type Conn struct {
	conn       net.Conn
	in         *bufio.Reader
	pipelining bool
	resumed    bool
}

// dial connects to addr, greets and, if config is not nil, does STARTTLS and
// greets again.
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
	if err := c.greet(); err != nil || config == nil {
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
	return c.greet()
}

func (c *Conn) use(conn net.Conn) {
	c.conn = conn
	c.in = bufio.NewReaderSize(conn, 1024)
}

// Resumed reports whether the TLS session was resumed.
func (c *Conn) Resumed() bool { return c.resumed }

// Close closes the connection without QUIT.
func (c *Conn) Close() error { return c.conn.Close() }

func (c *Conn) greet() error { return c.command("EHLO bench.test", 250) }

func (c *Conn) quit() error { return c.command("QUIT", 221) }

// command sends a command and expects a reply.
func (c *Conn) command(command string, code int) error {
	if err := c.write([]byte(command + "\r\n")); err != nil {
		return err
	}
	return c.expect(command, code)
}

// message sends the envelope and the text, which ends in its dot, and returns
// nil once the server has taken it.
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

// expect reads the reply to what was sent. Another code is an error that tells
// the server's words. PIPELINING is noted where the reply to EHLO has it.
func (c *Conn) expect(what string, code int) error {
	if err := c.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return fmt.Errorf("reply to %s: %w", what, err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if !hasCode(line, code) {
			return fmt.Errorf("reply to %s: %q, want %d", what, line, code)
		}
		if len(line) == 3 || line[3] == ' ' {
			c.offers(line)
			return nil
		}
		c.offers(line)
	}
}

func (c *Conn) offers(line []byte) {
	c.pipelining = c.pipelining || len(line) > 4 && bytes.EqualFold(line[4:], []byte("PIPELINING"))
}

// hasCode reports whether a line of a reply begins with code (RFC 5321, Section 4.2.1).
func hasCode(line []byte, code int) bool {
	return len(line) >= 3 &&
		int(line[0]-'0')*100+int(line[1]-'0')*10+int(line[2]-'0') == code
}

// clientConfig is TLS 1.3 with one group, the same for every server: what a
// newer library would add to the key exchange, an older one does not know.
func clientConfig(l Load) *tls.Config {
	groups := l.Groups
	if groups == nil {
		groups = []tls.CurveID{tls.X25519}
	}
	return &tls.Config{
		ServerName:         "localhost",
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   groups,
		ClientSessionCache: &ticketJar{resume: l.Resume},
		// A mail server that sends does not know whom to trust, mostly.
		InsecureSkipVerify: true,
		VerifyConnection:   shows(l.Certificate),
		// One record for a write, as other libraries do.
		DynamicRecordSizingDisabled: true,
	}
}

var errCertificate = errors.New("server shows another certificate than it was given")

// shows checks that the server has the certificate.
func shows(cert *x509.Certificate) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if !bytes.Equal(state.PeerCertificates[0].Raw, cert.Raw) {
			return errCertificate
		}
		return nil
	}
}

// ticketJar keeps the ticket that a server gave last. It gives the same one
// out again until there is a newer one: OpenSSL sends none with a resumed
// handshake while the key of the old one is good. Without resume it keeps none,
// but since there is a cache the client still says that it takes tickets. One
// sender uses it.
type ticketJar struct {
	resume bool
	ticket *tls.ClientSessionState
}

func (j *ticketJar) Get(string) (*tls.ClientSessionState, bool) {
	return j.ticket, j.ticket != nil
}

func (j *ticketJar) Put(_ string, ticket *tls.ClientSessionState) {
	if j.resume {
		j.ticket = ticket
	}
}
