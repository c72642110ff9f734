package test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"postern/internal/smtp"
)

// A client speaks SMTP by hand. Its methods return errors rather than end a
// test, so that they can run on any goroutine.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	name string // what it calls itself
}

// anyCertificate is the opportunistic TLS of most senders, with resumption.
func anyCertificate() *tls.Config {
	return &tls.Config{
		ServerName:         "localhost",
		InsecureSkipVerify: true,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}
}

// dial connects to addr from the given address of 127.0.0.0/8, or any if that
// is empty, and reads nothing yet.
func dial(addr, from string) (*client, error) {
	dialer := net.Dialer{Timeout: patience}
	if from != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(patience))
	return &client{conn: conn, in: bufio.NewReader(conn), name: "sender.test"}, nil
}

// connect dials and reads the greeting.
func connect(addr, from string) (*client, error) {
	c, err := dial(addr, from)
	if err != nil {
		return nil, err
	}
	if err := c.expect("", 220); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// connectTLS connects and goes on to a session over STARTTLS, EHLO said.
func connectTLS(addr, from string, config *tls.Config) (*client, error) {
	c, err := connect(addr, from)
	if err != nil {
		return nil, err
	}
	if err := c.startTLS(config); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *client) startTLS(config *tls.Config) error {
	if err := c.hello(); err != nil {
		return err
	}
	if err := c.expect("STARTTLS\r\n", 220); err != nil {
		return err
	}
	secure := tls.Client(c.conn, config)
	if err := secure.Handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	c.conn, c.in = secure, bufio.NewReader(secure)
	return c.hello()
}

func (c *client) hello() error { return c.expect("EHLO "+c.name+"\r\n", 250) }

func (c *client) close() { c.conn.Close() }

// say sends text as it is.
func (c *client) say(text string) error {
	_, err := io.WriteString(c.conn, text)
	return err
}

// reply reads one reply.
func (c *client) reply() (smtp.Reply, error) { return smtp.ReadReply(c.in) }

// ask sends text as it is and reads one reply.
func (c *client) ask(text string) (smtp.Reply, error) {
	if err := c.say(text); err != nil {
		return smtp.Reply{}, err
	}
	return c.reply()
}

// expect sends text as it is and reads one reply, which must have the code.
func (c *client) expect(text string, code int) error {
	reply, err := c.ask(text)
	if err != nil {
		return fmt.Errorf("no reply to %.60q: %w", text, err)
	}
	if reply.Code != code {
		return fmt.Errorf("reply %q to %.60q, want %d", reply, text, code)
	}
	return nil
}

// proceed says commands, one after the other, none of which must be refused.
func (c *client) proceed(commands ...string) error {
	for _, command := range commands {
		reply, err := c.ask(command + "\r\n")
		if err != nil {
			return fmt.Errorf("no reply to %q: %w", command, err)
		}
		if !reply.Positive() && !reply.Intermediate() {
			return fmt.Errorf("reply %q to %q", reply, command)
		}
	}
	return nil
}

// silent reports whether nothing more comes up to the connection's end.
func (c *client) silent() error {
	rest, _ := io.ReadAll(c.in)
	if len(rest) > 0 {
		return fmt.Errorf("more was said: %.200q", rest)
	}
	return nil
}

// A mail is an envelope and a text in wire form: CRLF, dots not stuffed.
type mail struct {
	from string
	to   []string
	text string
}

// errCutOff says that no reply came to a message's text.
var errCutOff = errors.New("cut off in the text")

// deliver sends m as Postfix and Exim do, the envelope in one write, and returns
// the final reply: that of the first command refused, or of the whole message.
func (c *client) deliver(m mail) (smtp.Reply, error) {
	var commands strings.Builder
	fmt.Fprintf(&commands, "MAIL FROM:<%s>\r\n", m.from)
	for _, to := range m.to {
		fmt.Fprintf(&commands, "RCPT TO:<%s>\r\n", to)
	}
	commands.WriteString("DATA\r\n")
	if err := c.say(commands.String()); err != nil {
		return smtp.Reply{}, err
	}
	var refused smtp.Reply
	for range len(m.to) + 1 {
		reply, err := c.reply()
		if err != nil || reply.Code == 421 {
			return reply, err
		}
		if !reply.Positive() && refused.Code == 0 {
			refused = reply
		}
	}
	reply, err := c.reply()
	switch {
	case err != nil:
		return smtp.Reply{}, err
	case reply.Code == 354:
		reply, err := c.ask(stuffed(m.text) + ".\r\n")
		if err != nil {
			err = fmt.Errorf("%w: %w", errCutOff, err)
		}
		return reply, err
	case refused.Code != 0:
		return refused, nil
	}
	return reply, nil
}

// deliverChunks sends m by BDAT (RFC 3030) in chunks of at most size bytes, all
// in one go, and returns the final reply.
func (c *client) deliverChunks(m mail, size int) (smtp.Reply, error) {
	for _, command := range append([]string{"MAIL FROM:<" + m.from}, prefixed("RCPT TO:<", m.to)...) {
		reply, err := c.ask(command + ">\r\n")
		if err != nil || !reply.Positive() {
			return reply, err
		}
	}
	for text := m.text; ; {
		chunk, last := text, " LAST"
		if len(text) > size {
			chunk, last = text[:size], ""
		}
		text = text[len(chunk):]
		reply, err := c.ask(fmt.Sprintf("BDAT %d%s\r\n%s", len(chunk), last, chunk))
		if err != nil || !reply.Positive() || last != "" {
			return reply, err
		}
	}
}

func prefixed(prefix string, words []string) []string {
	var made []string
	for _, word := range words {
		made = append(made, prefix+word)
	}
	return made
}

// stuffed doubles the dots at the start of lines (RFC 5321, Section 4.5.2).
func stuffed(text string) string {
	return strings.ReplaceAll("\n"+text, "\n.", "\n..")[1:]
}

// deliver sends one mail over STARTTLS on a connection of its own.
func (p *postern) deliver(t *testing.T, m mail) smtp.Reply {
	t.Helper()
	c, err := connectTLS(p.addr, "", anyCertificate())
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	reply, err := c.deliver(m)
	if err != nil {
		t.Fatalf("delivering: %v", err)
	}
	if err := c.expect("QUIT\r\n", 221); err != nil {
		t.Error(err)
	}
	return reply
}
