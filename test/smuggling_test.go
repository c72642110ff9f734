package test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

// ends are the spellings of a message's end that one server or another once
// took for CRLF "." CRLF (CVE-2023-51764, CVE-2023-51765, CVE-2023-51766 and
// relatives), and some that nobody is known to have taken.
var ends = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\n.\r",
	"\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n",
	"\r\r\n.\r\r\n", "\r\n.\r\r\n", "\r\r\n.\r\n", "\n\r.\n\r", "\n\n.\n\n",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\x00\n",
	"\r\n. \r\n", "\r\n.\t\r\n", "\r\n .\r\n", "\r\n..\r\n", "\r\n...\r\n",
	"\v.\v", "\f.\f", "\u0085.\u0085", "\u2028.\u2028", "\x85.\x85", "\r\n\xef\xbb\xbf.\r\n",
}

// A destination is where mail ends up behind a postern.
type destination struct {
	p        *postern
	taken    func() int      // messages taken so far, delivered or not
	messages func() []stored // those delivered, at least as many as were taken
}

func intoMaildir(t *testing.T) destination {
	p := start(t)
	return destination{
		p:        p,
		taken:    func() int { return len(p.maildir().files(t, "new")) },
		messages: func() []stored { return p.maildir().messages(t) },
	}
}

func throughToPostfix(t *testing.T) destination {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{})
	taken := func() int { return strings.Count(backend.Log(), ": message-id=<") }
	return destination{
		p:     start(t, "--next-hop", "smtp://"+backend.Addr),
		taken: taken,
		messages: func() []stored {
			var all []stored
			for _, text := range backend.AwaitMessages(t, taken()) {
				all = append(all, newStored(text))
			}
			return all
		},
	}
}

// What arrives is the message that was acknowledged or none, and never the one
// hidden in it.
func TestNoMessageIsSmuggledInAnother(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) destination{
		"Maildir": intoMaildir, "Postfix": throughToPostfix,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			acknowledged := 0
			for _, end := range ends {
				acknowledged += smuggle(t, d.p, end)
			}
			for _, end := range append(ends, "\r\n.\r\n") {
				acknowledged += smuggleInChunks(t, d.p, end, 1<<20) + smuggleInChunks(t, d.p, end, 1)
			}
			if reply := d.p.deliver(t, newLetter("honest", 0)); reply.Code != 250 {
				t.Errorf("an honest message: %s", reply)
			}
			if taken := d.taken(); taken != acknowledged+1 {
				t.Errorf("%d messages were taken, and %d acknowledged", taken, acknowledged+1)
			}
			checkNoneHidden(t, d.messages())
		})
	}
}

// outer and hidden are the two messages. The end that is tried stands between.
const outer = "From: <sender@sender.test>\r\nSubject: outer\r\n\r\nouter text"

const hidden = "MAIL FROM:<hidden@sender.test>\r\nRCPT TO:<user@localhost>\r\nDATA\r\n" +
	"From: <hidden@sender.test>\r\nSubject: hidden\r\n\r\nhidden text\r\n"

// smuggle tries one spelling behind DATA, and returns how many messages were
// acknowledged: one or none.
func smuggle(t *testing.T, p *postern, end string) int {
	t.Helper()
	c := openMessage(t, p)
	defer c.Close()
	if err := c.Expect("DATA\r\n", 354); err != nil {
		t.Fatal(err)
	}
	// What follows is one write: a server that is deceived sees commands pipelined.
	return acknowledged(t, end, codes(c, outer+end+hidden+".\r\nQUIT\r\n"))
}

// smuggleInChunks tries one spelling behind BDAT, in chunks of a size.
func smuggleInChunks(t *testing.T, p *postern, end string, size int) int {
	t.Helper()
	c := openMessage(t, p)
	defer c.Close()
	var commands strings.Builder
	text := outer + end + hidden
	for len(text) > size {
		fmt.Fprintf(&commands, "BDAT %d\r\n%s", size, text[:size])
		text = text[size:]
	}
	fmt.Fprintf(&commands, "BDAT %d LAST\r\n%sQUIT\r\n", len(text), text)
	// Each chunk but the last has a 250 of its own, up to a refusal.
	codes := codes(c, commands.String())
	for chunks := (len(outer+end+hidden) - 1) / size; chunks > 0 && len(codes) > 1 && codes[0] == 250; chunks-- {
		codes = codes[1:]
	}
	return acknowledged(t, end, codes)
}

// openMessage is a session that has come to RCPT.
func openMessage(t *testing.T, p *postern) *testsmtp.Client {
	t.Helper()
	c, err := testsmtp.Dial(p.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Commands("EHLO sender.test", "MAIL FROM:<sender@sender.test>", "RCPT TO:<user@localhost>"); err != nil {
		t.Fatal(err)
	}
	return c
}

// codes sends text and returns the codes of all replies up to the connection's end.
func codes(c *testsmtp.Client, text string) []int {
	var codes []int
	_ = c.Send(text) // an error shows in the replies: the server closed early
	for {
		reply, err := c.Reply()
		if err != nil {
			return codes
		}
		codes = append(codes, reply.Code)
	}
}

// acknowledged reads the last replies of a session. Behind an acknowledgment
// comes the reply to QUIT; behind a refusal nothing is carried out any more.
func acknowledged(t *testing.T, end string, codes []int) int {
	t.Helper()
	switch {
	case slices.Equal(codes, []int{250, 221}):
		return 1
	case len(codes) > 0 && codes[0]/100 == 5 && !slices.ContainsFunc(codes, carriedOut):
		return 0
	}
	t.Errorf("end %q: replies %d, want 250 221, or a 5xx and no command behind it carried out", end, codes)
	return 0
}

// carriedOut reports the reply to a command other than QUIT that was not refused.
func carriedOut(code int) bool { return code < 400 && code != 221 }

func checkNoneHidden(t *testing.T, messages []stored) {
	t.Helper()
	for _, message := range messages {
		if message.field("Subject") == "hidden" || strings.Contains(message.field("Return-Path"), "hidden") {
			t.Errorf("a hidden message arrived:\n%s", message)
		}
	}
}

// CVE-2011-0411 and its relatives: commands in clear behind STARTTLS are never
// carried out, whether they come with it or after its reply.
func TestCommandsBehindSTARTTLSAreNeverCarriedOut(t *testing.T) {
	const injected = "EHLO evil.test\r\nMAIL FROM:<evil@evil.test>\r\nRCPT TO:<user@localhost>\r\n" +
		"DATA\r\nSubject: injected\r\n\r\ninjected\r\n.\r\n"
	for _, tt := range []struct {
		name  string
		play  func(c *testsmtp.Client) error
		ended string // in the log
	}{
		{"in one segment with it", func(c *testsmtp.Client) error {
			if err := c.Expect("STARTTLS\r\n"+injected, 554); err != nil {
				return err
			}
			return c.ExpectEnd()
		}, `end="bytes behind STARTTLS"`},
		{"after its reply", func(c *testsmtp.Client) error {
			if err := c.Expect("STARTTLS\r\n", 220); err != nil {
				return err
			}
			if err := c.Send(injected); err != nil {
				return err
			}
			return onlyAlert(c)
		}, `end="TLS handshake failed"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := start(t)
			c, err := testsmtp.Dial(p.addr, "")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Expect("EHLO sender.test\r\n", 250); err != nil {
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
func onlyAlert(c *testsmtp.Client) error {
	const alert = 21
	rest, _ := io.ReadAll(c.In)
	if len(rest) > 0 && rest[0] != alert {
		return fmt.Errorf("more was said in clear: %.200q", rest)
	}
	return nil
}
