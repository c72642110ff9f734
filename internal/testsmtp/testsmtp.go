// Package testsmtp is an SMTP client for tests: it can do what a mail program
// does, and what none should.
//
//	c, err := testsmtp.DialTLS(addr, "", testsmtp.OpportunisticTLS())
//	...
//	defer c.Close()
//	reply, err := c.Deliver(testsmtp.Message{From: "a@sender.test", To: []string{"b@localhost"}, Text: text})
//
// Its methods return errors rather than end a test, so that they can run on any
// goroutine.
package testsmtp

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"postern/internal/smtp"
)

// timeout bounds a connection as a whole. No busy machine needs as long.
const timeout = 90 * time.Second

// A Client is a connection to an SMTP server, for one goroutine.
type Client struct {
	Conn net.Conn      // a [*tls.Conn] after Handshake
	In   *bufio.Reader // reads from Conn
	Name string        // the argument of EHLO
}

// New returns a client on conn, which it gives no deadline. Nothing is read yet.
func New(conn net.Conn) *Client {
	return &Client{Conn: conn, In: bufio.NewReader(conn), Name: "sender.test"}
}

// Connect connects to addr from the given IP address, or from any if that is
// empty. Nothing is read yet.
func Connect(addr, from string) (*Client, error) {
	dialer := net.Dialer{Timeout: timeout}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(timeout))
	return New(conn), nil
}

// Dial connects as [Connect] does and reads the greeting.
func Dial(addr, from string) (*Client, error) {
	c, err := Connect(addr, from)
	if err != nil {
		return nil, err
	}
	if err := c.Expect("", 220); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// DialTLS connects as [Dial] does and calls [Client.StartTLS].
func DialTLS(addr, from string, config *tls.Config) (*Client, error) {
	c, err := Dial(addr, from)
	if err != nil {
		return nil, err
	}
	if err := c.StartTLS(config); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// OpportunisticTLS returns the TLS configuration of most senders: any
// certificate will do, and sessions are resumed.
func OpportunisticTLS() *tls.Config {
	return &tls.Config{
		ServerName:         "localhost",
		InsecureSkipVerify: true,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
}

// StartTLS sends EHLO and STARTTLS, does the handshake and sends EHLO again.
func (c *Client) StartTLS(config *tls.Config) error {
	if err := c.Hello(); err != nil {
		return err
	}
	if err := c.Expect("STARTTLS\r\n", 220); err != nil {
		return err
	}
	if err := c.Handshake(config); err != nil {
		return err
	}
	return c.Hello()
}

// Handshake does a TLS handshake on the connection.
func (c *Client) Handshake(config *tls.Config) error {
	secure := tls.Client(c.Conn, config)
	if err := secure.Handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.Conn, c.In = secure, bufio.NewReader(secure)
	return nil
}

// TLS returns the state of the connection after Handshake.
func (c *Client) TLS() tls.ConnectionState { return c.Conn.(*tls.Conn).ConnectionState() }

// Hello sends EHLO and expects 250.
func (c *Client) Hello() error { return c.Expect("EHLO "+c.Name+"\r\n", 250) }

// Close closes the connection without QUIT.
func (c *Client) Close() { c.Conn.Close() }

// Send sends text as it is.
func (c *Client) Send(text string) error {
	_, err := io.WriteString(c.Conn, text)
	return err
}

// Reply reads one reply.
func (c *Client) Reply() (smtp.Reply, error) { return smtp.ReadReply(c.In) }

// Ask sends text as it is and reads one reply.
func (c *Client) Ask(text string) (smtp.Reply, error) {
	if err := c.Send(text); err != nil {
		return smtp.Reply{}, err
	}
	return c.Reply()
}

// Expect sends text as it is and reads one reply, which must have the code.
func (c *Client) Expect(text string, code int) error {
	reply, err := c.Ask(text)
	if err != nil {
		return fmt.Errorf("no reply to %.60q: %w", text, err)
	}
	if reply.Code != code {
		return fmt.Errorf("reply %q to %.60q, want %d", reply, text, code)
	}
	return nil
}

// Commands sends commands, given without CRLF, each after the reply to the one
// before. It returns an error at the first 4xx or 5xx reply.
func (c *Client) Commands(commands ...string) error {
	for _, command := range commands {
		reply, err := c.Ask(command + "\r\n")
		if err != nil {
			return fmt.Errorf("no reply to %q: %w", command, err)
		}
		if !reply.Positive() && !reply.Intermediate() {
			return fmt.Errorf("reply %q to %q", reply, command)
		}
	}
	return nil
}

// ExpectEnd reads up to the connection's end and returns an error if the server
// sends anything before.
func (c *Client) ExpectEnd() error {
	if rest, _ := io.ReadAll(c.In); len(rest) > 0 {
		return fmt.Errorf("the server went on with %.200q", rest)
	}
	return nil
}

// A Message is an envelope and a text in wire form: CRLF, dots not stuffed.
type Message struct {
	From string
	To   []string
	Text string
}

// ErrCutOff says that no reply came to a message's text.
var ErrCutOff = errors.New("cut off in the text")

// Deliver sends m as Postfix and Exim do, the envelope in one write, and returns
// the final reply: that of the first command refused, or of the whole message.
func (c *Client) Deliver(m Message) (smtp.Reply, error) {
	if err := c.Send(m.envelope() + "DATA\r\n"); err != nil {
		return smtp.Reply{}, err
	}
	var refused smtp.Reply
	for range len(m.To) + 1 {
		reply, err := c.Reply()
		if err != nil || reply.Code == 421 {
			return reply, err
		}
		if !reply.Positive() && refused.Code == 0 {
			refused = reply
		}
	}
	reply, err := c.Reply()
	switch {
	case err != nil:
		return smtp.Reply{}, err
	case reply.Code == 354:
		reply, err := c.Ask(m.Data())
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrCutOff, err)
		}
		return reply, err
	case refused.Code != 0:
		return refused, nil
	}
	return reply, nil
}

// DeliverBDAT sends m by BDAT (RFC 3030) in chunks of at most size bytes, and
// returns the final reply. It waits for each reply.
func (c *Client) DeliverBDAT(m Message, size int) (smtp.Reply, error) {
	for command := range strings.Lines(m.envelope()) {
		reply, err := c.Ask(command)
		if err != nil || !reply.Positive() {
			return reply, err
		}
	}
	for text := m.Text; ; {
		chunk, last := text, " LAST"
		if len(text) > size {
			chunk, last = text[:size], ""
		}
		text = text[len(chunk):]
		reply, err := c.Ask(fmt.Sprintf("BDAT %d%s\r\n%s", len(chunk), last, chunk))
		if err != nil || !reply.Positive() || last != "" {
			return reply, err
		}
	}
}

// envelope returns MAIL and RCPT, a line each.
func (m Message) envelope() string {
	var commands strings.Builder
	fmt.Fprintf(&commands, "MAIL FROM:<%s>\r\n", m.From)
	for _, to := range m.To {
		fmt.Fprintf(&commands, "RCPT TO:<%s>\r\n", to)
	}
	return commands.String()
}

// Data returns what follows DATA: the text with dots at the start of lines
// doubled (RFC 5321, Section 4.5.2), and the line that ends it.
func (m Message) Data() string {
	return strings.ReplaceAll("\n"+m.Text, "\n.", "\n..")[1:] + ".\r\n"
}
