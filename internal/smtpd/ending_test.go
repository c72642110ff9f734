package smtpd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/smtp"
	"postern/internal/testsmtp"
	"postern/internal/tlsrecord"
)

// With TLS the end of a session is one that a client can trust (RFC 8446, Section 6.1).
func TestTLSEndsWithACloseNotify(t *testing.T) {
	for _, said := range []string{"> QUIT\n< 221 *", "> GET / HTTP/1.1\n< 421 *"} {
		s := startServer(t, nil)
		c := s.dial(t)
		c.play(toTLS)
		below := &tapped{Conn: c.Conn}
		c.Conn = below
		c.handshake(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
		c.play(said + "\nCLOSED")
		last := byte(0)
		for records := below.read; len(records) > 0; records = records[tlsrecord.HeaderLen+tlsrecord.Length(records):] {
			last = records[0]
		}
		if last != tlsrecord.Alert {
			t.Errorf("after %q the last record is of type %d, want a close_notify", said, last)
		}
	}
}

// A tapped connection keeps what was read from it.
type tapped struct {
	net.Conn
	read []byte
}

func (c *tapped) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read = append(c.read, b[:n]...)
	return n, err
}

// A corked connection sends what is written in one segment, at the end.
type corked struct {
	net.Conn
	corked  bool
	written []byte
}

func (c *corked) Write(b []byte) (int, error) {
	if !c.corked {
		return c.Conn.Write(b)
	}
	c.written = append(c.written, b...)
	return len(b), nil
}

// With TLS 1.2 crypto/tls returns the last data together with the end that follows it.
func TestTheLastCommandIsReadBeforeTheEnd(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.play(toTLS)
	below := &corked{Conn: c.Conn}
	c.Conn = below
	c.handshake(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12})
	below.corked = true
	c.send("QUIT\r\n")
	c.Conn.(*tls.Conn).CloseWrite()
	c.Conn.SetWriteDeadline(time.Time{}) // CloseWrite lets nothing follow
	if _, err := below.Conn.Write(below.written); err != nil {
		t.Fatal(err)
	}
	if r := s.result(); r.End != "quit" {
		t.Errorf("the session ended with %q", r.End)
	}
}

// A sender that is lost in a message has not sent it, also if all that it has sent could be one, and
// gets no reply.
func TestAMessageWithoutItsEndIsLost(t *testing.T) {
	const begin = "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org>\n< 250 *\n< 250 *\n"
	for name, dialogue := range map[string]string{
		"in DATA":           begin + "> DATA\n< 354 *\n> x",
		"in the last chunk": begin + "> BDAT 10 LAST\n> x",
		"in another chunk":  begin + "> BDAT 10\n> x",
		"in a refused text": begin + "> DATA\n< 354 *\n> x",
	} {
		s := startServer(t, func(_ *Settings, h *memoryHop) { h.early = name == "in a refused text" })
		c := s.dial(t)
		c.play(dialogue)
		c.Conn.Close()
		r := s.result()
		if r.End != "connection lost in message" || !errors.Is(r.Err, io.EOF) && !errors.Is(r.Err, io.ErrUnexpectedEOF) || r.Messages != 0 {
			t.Errorf("%s: the result is %+v", name, r)
		}
		if len(s.hop.taken()) > 0 || len(s.observed.refused) > 0 {
			t.Errorf("%s: the hop got %+v, refused %+v", name, s.hop.taken(), s.observed.refused)
		}
	}
}

func TestAPanicEndsOneSession(t *testing.T) {
	for panics, dialogue := range map[string]string{
		"Send":  "> DATA\n< 354 *\n> x\n> .\nCLOSED",
		"Close": "> QUIT\n< 221 *\nCLOSED",
	} {
		s := startServer(t, func(_ *Settings, h *memoryHop) { h.panics = panics })
		other := s.dial(t)
		other.play("< 220 *")
		s.dial(t).play("< 220 *\n> EHLO a\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n< 250 *\n< 250 *\n< 250 *\n" + dialogue)
		if r := s.result(); r.End != "panic" || !strings.Contains(r.Err.Error(), "a fault of the hop's") {
			t.Errorf("%s: the result is %+v", panics, r)
		}
		other.play("> NOOP\n< 250 *")
	}
}

func TestASenderThatNeverStopsIsDisconnected(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) { set.Limits.MessageSize = 1000 })
	c := s.dial(t)
	c.play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *")
	for {
		if _, err := fmt.Fprintf(c.Conn, "%s\r\n", strings.Repeat("x", 98)); err != nil {
			break
		}
	}
	if r := s.result(); r.End != "sender kept sending refused message" || s.observed.refused[0].Command != "END-OF-MESSAGE" {
		t.Errorf("the result is %+v, refused %+v", r, s.observed.refused)
	}
}

// However a session ends, the next hop can use its connection for others. That does not wait for a
// sender that was refused and stays.
func TestNextHopIsGivenUpAtTheEnd(t *testing.T) {
	for name, end := range map[string]func(*client){
		"quit":            func(c *client) { c.play("> QUIT\n< 221 *") },
		"lost connection": func(c *client) { c.Conn.Close() },
		"refused":         func(c *client) { c.play("> GET / HTTP/1.1\n< 421 *") },
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPipeServer(t, Limits{})
			ours, theirs := net.Pipe()
			p.start(halfConn{ours}, false)
			c := &client{testsmtp.New(theirs), t}
			defer c.Close()
			c.play(envelope)
			end(c)
			synctest.Wait()
			if got := strings.Join(p.hop.steps, " "); got != "MAIL RCPT Close" {
				t.Errorf("%s: the hop got %q", name, got)
			}
		})
	}
}

// A reply of the next hop that ends the session is what it ended with, whatever the sender has sent
// after the command.
func TestTheFirstEndOfASessionCounts(t *testing.T) {
	for _, next := range []string{"GET / HTTP/1.1", "BDAT x", "BDAT 9 LAST", "STARTTLS", "DATA", "NOOP\\n\\-"} {
		s := startServer(t, func(_ *Settings, h *memoryHop) {
			h.replies = map[string]smtp.Reply{"RCPT": smtp.NewReply(421, "4.3.2", "next hop shutting down")}
		})
		s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> " + next + "\n> NOOP\n< 250 *\n< 421 *\nCLOSED")
		if r := s.result(); r.End != "421 4.3.2 next hop shutting down" {
			t.Errorf("before %q the session ended with %q, %v", next, r.End, r.Err)
		}
	}
}

// What breaks TLS is a lost connection, and no renegotiation.
func TestBrokenTLSEndsTheSession(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	raw := c.Conn
	c.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *\nTLS\n> EHLO a\n< 250 *")
	if _, err := raw.Write([]byte("MAIL FROM:<a@example.net>\r\n")); err != nil {
		t.Fatal(err)
	}
	r := s.result()
	if r.End != "connection lost" || r.Err == nil || r.Transcript.End.Err != r.Err.Error() {
		t.Errorf("the session ended with %q, %v, and its transcript with %+v", r.End, r.Err, r.Transcript.End)
	}
}
