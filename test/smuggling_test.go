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

// ends are spellings of a message's end that some server once accepted in place of CRLF
// "." CRLF (CVE-2023-51764, CVE-2023-51765, CVE-2023-51766 and others), and some that no
// server is known to accept.
var ends = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\n.\r",
	"\r.\r", "\r.\r\n", "\r\n.\r", "\r.\n",
	"\r\r\n.\r\r\n", "\r\n.\r\r\n", "\r\r\n.\r\n", "\n\r.\n\r", "\n\n.\n\n",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\x00\n",
	"\r\n. \r\n", "\r\n.\t\r\n", "\r\n .\r\n", "\r\n..\r\n", "\r\n...\r\n",
	"\v.\v", "\f.\f", "\u0085.\u0085", "\u2028.\u2028", "\x85.\x85", "\r\n\xef\xbb\xbf.\r\n",
}

// A destination is a postern and where its mail is stored.
type destination struct {
	p        *postern
	taken    func() int      // messages accepted so far, stored or not
	messages func() []stored // those stored, at least as many as were accepted
}

func maildirDestination(t *testing.T) destination {
	p := start(t)
	return destination{
		p:        p,
		taken:    func() int { return len(p.maildir().files(t, "new")) },
		messages: func() []stored { return p.maildir().messages(t) },
	}
}

func postfixDestination(t *testing.T) destination {
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

// The acknowledged message is stored, or none, and never the one smuggled in it.
func TestNoMessageIsSmuggled(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) destination{
		"Maildir": maildirDestination, "Postfix": postfixDestination,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := begin(t)
			acknowledged := 0
			for _, end := range ends {
				acknowledged += smuggle(t, d.p, end)
			}
			for _, end := range append(ends, "\r\n.\r\n") {
				acknowledged += smuggleByBDAT(t, d.p, end, 1<<20) + smuggleByBDAT(t, d.p, end, 1)
			}
			if reply := d.p.deliver(t, newMessage("other", 0)); reply.Code != 250 {
				t.Errorf("another message: %s", reply)
			}
			acknowledged++
			eventually(t, func() error { // Postfix logs what it has accepted with a short delay
				if taken := d.taken(); taken < acknowledged {
					return fmt.Errorf("%d messages were accepted, and %d acknowledged", taken, acknowledged)
				}
				return nil
			})
			checkNoneSmuggled(t, d.messages())
			if taken := d.taken(); taken > acknowledged {
				t.Errorf("%d messages were accepted, and %d acknowledged", taken, acknowledged)
			}
		})
	}
}

// outer and smuggled are the two messages. A spelling of the end goes between them.
const outer = "From: <sender@sender.test>\r\nSubject: outer\r\n\r\nouter text"

const smuggled = "MAIL FROM:<hidden@sender.test>\r\nRCPT TO:<user@localhost>\r\nDATA\r\n" +
	"From: <hidden@sender.test>\r\nSubject: hidden\r\n\r\nhidden text\r\n"

// smuggle tries one spelling after DATA, and returns how many messages were
// acknowledged: one or none.
func smuggle(t *testing.T, p *postern, end string) int {
	t.Helper()
	c := beginMessage(t, p)
	defer c.Close()
	if err := c.Expect("DATA\r\n", 354); err != nil {
		t.Fatal(err)
	}
	// In one write: a vulnerable server sees pipelined commands.
	return acknowledged(t, end, codes(c, outer+end+smuggled+".\r\nQUIT\r\n"))
}

// smuggleByBDAT tries one spelling in chunks of a size.
func smuggleByBDAT(t *testing.T, p *postern, end string, size int) int {
	t.Helper()
	c := beginMessage(t, p)
	defer c.Close()
	var commands strings.Builder
	text := outer + end + smuggled
	for len(text) > size {
		fmt.Fprintf(&commands, "BDAT %d\r\n%s", size, text[:size])
		text = text[size:]
	}
	fmt.Fprintf(&commands, "BDAT %d LAST\r\n%sQUIT\r\n", len(text), text)
	// Each chunk but the last gets a 250, up to a refusal.
	codes := codes(c, commands.String())
	for chunks := (len(outer+end+smuggled) - 1) / size; chunks > 0 && len(codes) > 1 && codes[0] == 250; chunks-- {
		codes = codes[1:]
	}
	return acknowledged(t, end, codes)
}

// beginMessage returns a session after RCPT.
func beginMessage(t *testing.T, p *postern) *testsmtp.Client {
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

// acknowledged checks the last replies of a session and returns the number of messages
// acknowledged. After 250 comes the reply to QUIT; after a refusal no command is executed.
func acknowledged(t *testing.T, end string, codes []int) int {
	t.Helper()
	switch {
	case slices.Equal(codes, []int{250, 221}):
		return 1
	case len(codes) > 0 && codes[0]/100 == 5 && !slices.ContainsFunc(codes, executed):
		return 0
	}
	t.Errorf("end %q: replies %d, want 250 221, or a 5xx and no command executed after it", end, codes)
	return 0
}

// executed reports whether code is a positive reply to another command than QUIT.
func executed(code int) bool { return code < 400 && code != 221 }

func checkNoneSmuggled(t *testing.T, messages []stored) {
	t.Helper()
	for _, message := range messages {
		if message.field("Subject") == "hidden" || strings.Contains(message.field("Return-Path"), "hidden") {
			t.Errorf("a smuggled message arrived:\n%s", message)
		}
	}
}

// Commands injected in plaintext after STARTTLS are never executed, whether they come in the
// same segment or after the reply (CVE-2011-0411 and others).
func TestCommandsInjectedAfterSTARTTLSAreDiscarded(t *testing.T) {
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
		}, `end="data after STARTTLS"`},
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

// onlyAlert reads to the end of the connection and returns an error for anything in plaintext.
// A TLS alert (RFC 8446, Section 6) is allowed.
func onlyAlert(c *testsmtp.Client) error {
	const alert = 21
	rest, _ := io.ReadAll(c.In)
	if len(rest) > 0 && rest[0] != alert {
		return fmt.Errorf("the server went on in plaintext with %.200q", rest)
	}
	return nil
}
