package relay

import (
	"net"
	"strings"
	"testing"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// TestManyRecipientsGoInGroups: a server that answers while it reads must not
// come to a stop because nobody reads its answers.
func TestManyRecipientsGoInGroups(t *testing.T) {
	b := newBackend(t)
	b.offers = []string{"PIPELINING"}
	var writes []string
	b.wire = func(c net.Conn) net.Conn { return writesOf{c, &writes} }
	s := b.hopTCP("smtp://mail.test").Open(someSender)
	answers := []nexthop.Answer{s.Mail(someMail)}
	long := smtp.Recipient{To: strings.Repeat("x", 240) + "@example.org"}
	for range 200 {
		answers = append(answers, s.Rcpt(long))
	}
	for i, answer := range answers {
		if reply := answer(); !reply.Positive() {
			t.Fatalf("command %d: %s", i, reply)
		}
	}
	for _, write := range writes {
		if len(write) > maxGroup {
			t.Errorf("%d bytes at once", len(write))
		}
	}
	if len(writes) != 1+4 { // EHLO, and 200 times 264 bytes
		t.Errorf("%d writes", len(writes))
	}
	s.Close()
	b.wait()
}

// TestRefusedHereIsNotSent: what the server cannot do stays with us, and the
// commands around it go their way.
func TestRefusedHereIsNotSent(t *testing.T) {
	b := newBackend(t, `
		< 220 ready
		> EHLO *
		< 250-backend
		< 250 PIPELINING
		> MAIL FROM:<alice@example.net>
		< 250 ok
		> RCPT TO:<a@example.org>
		< 250 ok
		> RCPT TO:<d@example.org>
		< 250 ok
		> RSET
		< 250 ok
		> QUIT
		< 221 bye`)
	s := b.hop("smtp://mail.test").Open(someSender)
	heard := deliverTo(s, someMail,
		smtp.Recipient{To: "a@example.org"},
		smtp.Recipient{To: "b@example.org", Notify: "SUCCESS"},
		smtp.Recipient{To: "c@example.org>\r\nRCPT TO:<evil@example.org"},
		smtp.Recipient{To: "d@example.org"})
	if want := "MAIL 250, RCPT 250, RCPT 451 4.3.3, RCPT 501 5.5.2, RCPT 250"; heard != want {
		t.Errorf("sender heard %s\nwant %s", heard, want)
	}
	heard = deliverTo(s, smtp.Mail{UTF8: true}, someRcpt, someRcpt)
	if want := "MAIL 550 5.6.7, RCPT 550 5.6.7, RCPT 550 5.6.7"; heard != want {
		t.Errorf("sender heard %s\nwant %s", heard, want)
	}
	s.Close()
	b.wait()
}

// TestDataForNobody: DATA has left, and then the server takes no recipient.
func TestDataForNobody(t *testing.T) {
	const refused = `
		< 220 ready
		> EHLO *
		< 250-backend
		< 250 PIPELINING
		> MAIL *
		< 250 ok
		> RCPT *
		< 550 5.1.1 nobody here of that name
		> DATA
		`
	for name, tt := range map[string]struct {
		script string
		opened int
	}{
		"refused":          {refused + "< 554 5.5.1 no valid recipients\n> RSET\n< 250 ok\n> MAIL *\n< 250 ok\n> RCPT *\n< 250 ok\n> DATA\n< 354 go on\ntext\nkeep\n< 250 ok\n> QUIT\n< 221 bye", 1},
		"waits for a text": {refused + "< 354 go on\nrest", 2},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, tt.script)
			b.rest = func(text string) {
				if text != "" {
					t.Errorf("server still heard %q", text)
				}
			}
			s := b.hopTCP("smtp://mail.test").Open(someSender)
			answers := []nexthop.Answer{s.Mail(someMail), s.Rcpt(someRcpt), s.Data()}
			heard := told("MAIL", answers[0]()) + ", " + told("RCPT", answers[1]()) + ", " + told("DATA", answers[2]())
			if want := "MAIL 250, RCPT 550 5.1.1, DATA 554 5.5.1"; heard != want {
				t.Errorf("sender heard %s, want %s", heard, want)
			}
			s.Reset()
			if next := deliver(s, someText); next != delivered {
				t.Errorf("the next message: %s", next)
			}
			s.Close()
			b.wait()
			if b.opened != tt.opened || len(b.taken) != 1 {
				t.Errorf("%d connections and %d messages, want %d and 1", b.opened, len(b.taken), tt.opened)
			}
		})
	}
}
