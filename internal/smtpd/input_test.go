package smtpd

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// A session that waits reads little at first, wherever that ends in what the sender sends in one
// write.
func TestCommandsMayEndAnywhereInTheFirstRead(t *testing.T) {
	s := startServer(t, nil)
	for name, begin := range map[string]string{
		"plaintext": "< 220 *\n> EHLO a\n< 250 *",
		"TLS":       "< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *\nTLS\n> EHLO a\n< 250 *",
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			c.play(begin)
			for length := 400; length <= 520; length++ {
				c.play("> NOOP " + strings.Repeat("x", length-len("NOOP \r\n")) + "\n" +
					"> MAIL FROM:<a@sender.example>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 250 *\n< 354 *\n" +
					"> text\n> .\n< 250 *")
			}
			c.play("> QUIT\n< 221 *\nCLOSED")
			if r := s.result(); r.Messages != 121 {
				t.Errorf("%d messages, want 121", r.Messages)
			}
		})
	}
}

// What follows STARTTLS in plaintext is not executed, also where the first read ends between them.
func TestInjectionAfterAFullFirstReadIsNoCommand(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	const before = 512 - len("STARTTLS\r\n") - len("NOOP \r\n")
	c.play("< 220 *\n> EHLO a\n< 250 *\n> NOOP " + strings.Repeat("x", before) + "\n> STARTTLS\n> MAIL FROM:<a@sender.example>\n< 250 *\n< 220 *")
	if r := s.result(); r.End != "TLS handshake failed" || s.hop.taken() != nil || len(s.hop.senders) > 0 {
		t.Errorf("the session ended with %q and reached the next hop %d times", r.End, len(s.hop.senders))
	}
}

// Most sessions are idle most of the time.
func TestAnIdleSessionHasNoBuffers(t *testing.T) {
	for name, begin := range map[string]string{
		"plaintext":    "< 220 *\n> EHLO a\n< 250 *",
		"TLS":          "< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *\nTLS\n> EHLO a\n< 250 *",
		"in a message": envelope,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newPipeServer(t, Limits{})
			c := p.dial(t)
			defer c.Close()
			c.play(begin)
			synctest.Wait()
			s := slices.Collect(maps.Keys(p.sessions))[0]
			if s.in != nil || s.out != nil {
				t.Errorf("%s: the session has buffers", name)
			}
		})
	}
}

// As a person types them, and with TLS each byte in a record, of which the server reads any number.
func TestCommandsMayComeInPieces(t *testing.T) {
	for _, begin := range map[string]string{
		"plaintext": "< 220 *",
		"TLS":       "< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *\nTLS",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newPipeServer(t, Limits{}).dial(t)
			defer c.Close()
			c.play(begin)
			for range 200 {
				for _, b := range "NOOP\r\n" {
					c.send(string(b))
				}
				c.play("< 250 2.0.0 OK")
			}
		})
	}
}
