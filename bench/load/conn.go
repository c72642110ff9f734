package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
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
