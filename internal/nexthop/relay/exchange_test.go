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
