package test

import (
	"fmt"
	"io"
	"strings"
	"testing"
)

// CVE-2011-0411 and its relatives: commands in clear behind STARTTLS are never
// carried out, whether they come with it or after its reply.
func TestCommandsBehindSTARTTLSAreNeverCarriedOut(t *testing.T) {
	const injected = "EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<user@localhost>\r\n" +
		"DATA\r\nSubject: injected\r\n\r\ninjected\r\n.\r\n"
	for _, tt := range []struct {
		name  string
		play  func(c *client) error
		ended string // in the log
	}{
		{"in one segment with it", func(c *client) error {
			if err := c.expect("STARTTLS\r\n"+injected, 554); err != nil {
				return err
			}
			return c.silent()
		}, `end="bytes behind STARTTLS"`},
		{"after its reply", func(c *client) error {
			if err := c.expect("STARTTLS\r\n", 220); err != nil {
				return err
			}
			if err := c.say(injected); err != nil {
				return err
			}
			return c.onlyAlert()
		}, `end="TLS handshake failed"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t)
			c, err := connect(p.addr, "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			if err := c.expect("EHLO sender.test\r\n", 250); err != nil {
				t.Fatal(err)
			}
			if err := tt.play(c); err != nil {
				t.Error(err)
			}
			p.await(0, "msg=session", tt.ended)
			if got := p.maildir().messages(t); len(got) > 0 {
				t.Errorf("stored: %q", got)
			}
		})
	}
}

// onlyAlert reads to the connection's end and reports anything in clear. A TLS
// alert (RFC 8446, Section 6) may come.
func (c *client) onlyAlert() error {
	const alert = 21
	rest, _ := io.ReadAll(c.in)
	if len(rest) > 0 && rest[0] != alert {
		return fmt.Errorf("more was said in clear: %.200q", rest)
	}
	return nil
}

// What is too long is refused with the reply that fits, or cut off, and the
// server lives on.
func TestWhatIsTooLongIsRefused(t *testing.T) {
	p := start(t)
	for _, tt := range []struct {
		name string
		send string
		want int // the last reply; behind it the connection may end
	}{
		{"command line", "NOOP " + strings.Repeat("x", 3000) + "\r\n", 500},
		{"command line without end", strings.Repeat("x", 64<<20), 500},
		{"name in EHLO", "EHLO " + strings.Repeat("x", 300) + "\r\n", 501},
		{"local part", hello + "MAIL FROM:<" + strings.Repeat("x", 1000) + "@sender.test>\r\n", 553},
		{"domain", hello + "MAIL FROM:<x@" + strings.Repeat("x.", 500) + "test>\r\n", 553},
		{"parameters", hello + "MAIL FROM:<x@sender.test> " + strings.Repeat("SIZE=1 ", 100) + "\r\n", 501},
		{"size announced", hello + "MAIL FROM:<> SIZE=1099511627776\r\n", 552},
		{"size announced with many digits", hello + "MAIL FROM:<> SIZE=" + strings.Repeat("9", 100) + "\r\n", 501},
		{"message", toText + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 52<<10) + ".\r\n", 552},
		{"message without end", toText + strings.Repeat(strings.Repeat("x", 998)+"\r\n", 128<<10), 354},
		{"line of a message", toText + strings.Repeat("x", 1<<20) + "\r\n.\r\n", 550},
		{"chunk", toRecipient + "BDAT 1099511627776 LAST\r\n" + strings.Repeat("x", 128<<20), 250},
		{"chunk with many digits", toRecipient + "BDAT " + strings.Repeat("9", 100) + " LAST\r\n", 501},
		{"number of chunks", toRecipient + strings.Repeat("BDAT 1\r\nx", 5000), 421},
		{"number of recipients", hello + "MAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<user@localhost>\r\n", 101), 452},
		{"number of Received fields", toText + strings.Repeat("Received: by x\r\n", 101) + "\r\n.\r\n", 554},
		{"number of errors", strings.Repeat("BANANA\r\n", 100), 421},
		{"number of commands", strings.Repeat("NOOP\r\n", 5000), 421},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := connect(p.addr, "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			codes := c.flood(tt.send)
			if len(codes) == 0 || codes[len(codes)-1] != tt.want {
				t.Errorf("replies %v, want %d as the last", codes[max(0, len(codes)-8):], tt.want)
			}
			if reply := p.deliver(t, newLetter(tt.name, 0)); reply.Code != 250 {
				t.Errorf("an honest message afterwards: %s", reply)
			}
		})
	}
}

// The ways to the place where something is too long.
const (
	hello       = "EHLO sender.test\r\n"
	toRecipient = hello + "MAIL FROM:<>\r\nRCPT TO:<user@localhost>\r\n"
	toText      = toRecipient + "DATA\r\n"
)

// flood sends text while it reads replies, then ends its side, and returns the
// codes of all replies. The server may cut it off.
func (c *client) flood(text string) []int {
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = c.say(text)
		if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	codes := c.codes("")
	c.close()
	<-sent
	return codes
}
