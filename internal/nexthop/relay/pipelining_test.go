package relay

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

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

const firstMessage = upToText + "text\nkeep\n< 250 2.0.0 taken\n"

// TestStaleConnectionIsReplaced: a server may close a connection that lies
// idle between two messages.
func TestStaleConnectionIsReplaced(t *testing.T) {
	for name, end := range map[string]string{
		"closed":                "close",
		"closed with a goodbye": "< 421 4.4.2 idle for too long\nclose",
		"closed at MAIL":        "> MAIL *\nclose",
		"goodbye at MAIL":       "> MAIL *\n< 421 4.3.2 going down\nclose",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t, firstMessage+end)
			s := b.hopTCP("smtp://mail.test").Open(someSender)
			for range 2 {
				if heard := deliver(s, someText); heard != delivered {
					t.Errorf("sender heard %s", heard)
				}
			}
			s.Close()
			b.wait()
			if b.opened != 2 || len(b.taken) != 2 {
				t.Errorf("%d connections and %d messages, want 2 and 2", b.opened, len(b.taken))
			}
		})
	}
}

// TestStaleConnectionIsReplacedOnce: the second connection's fault is told.
func TestStaleConnectionIsReplacedOnce(t *testing.T) {
	b := newBackend(t, firstMessage+"close", "< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\nclose")
	s := b.hopTCP("smtp://mail.test").Open(someSender)
	deliver(s, someText)
	if heard, want := deliver(s, someText), "MAIL 451 4.4.2, RCPT 451 4.4.2"; heard != want {
		t.Errorf("sender heard %s, want %s", heard, want)
	}
	s.Close()
	b.wait()
	if b.opened != 2 {
		t.Errorf("%d connections, want 2", b.opened)
	}
}

// TestFreshConnectionIsNotReplaced: what a new connection says, stands.
func TestFreshConnectionIsNotReplaced(t *testing.T) {
	b := newBackend(t, "< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\nclose")
	s := b.hopTCP("smtp://mail.test").Open(someSender)
	if heard, want := deliver(s, someText), "MAIL 451 4.4.2, RCPT 451 4.4.2"; heard != want {
		t.Errorf("sender heard %s, want %s", heard, want)
	}
	s.Close()
	b.wait()
}

// TestSilentConnectionIsNotReplaced: the sender's patience is used up then.
func TestSilentConnectionIsNotReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, firstMessage+"> MAIL *\nhang")
		s := b.hop("smtp://mail.test").Open(someSender)
		deliver(s, someText)
		if heard, want := deliver(s, someText), "MAIL 451 4.4.1, RCPT 451 4.4.1"; heard != want {
			t.Errorf("sender heard %s, want %s", heard, want)
		}
		s.Close()
		b.wait()
	})
}

// TestNoReplyIsTakenForAnother: a server that has said too much is not listened
// to any more, since its next word could be taken for another command's reply.
func TestNoReplyIsTakenForAnother(t *testing.T) {
	tooMuch := map[string]string{
		"behind the greeting": "<- 220 ready\r\n250 backend\r\n",
		"behind 354": strings.Replace(upToText, "< 354 go on",
			"<- 354 go on\r\n250 2.0.0 taken already\r\n", 1),
	}
	for name, script := range tooMuch {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, strings.ReplaceAll(script, "\r\n", `\r\n`)+"\nhang")
				s := b.hop("smtp://mail.test").Open(someSender)
				heard := deliver(s, someText)
				if !strings.HasSuffix(heard, "451 4.5.0") {
					t.Errorf("sender heard %s", heard)
				}
				s.Close()
				b.wait()
				if len(b.taken) != 0 {
					t.Error("the text went out")
				}
			})
		})
	}
}

// TestTooMuchBehindTheVerdict: the message is taken; the connection is not used
// again.
func TestTooMuchBehindTheVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, upToText+`text
			keep
			<- 250 2.0.0 taken\r\n250 2.0.0 taken twice\r\n
			hang`)
		s := b.hop("smtp://mail.test").Open(someSender)
		for range 2 {
			if heard := deliver(s, someText); heard != delivered {
				t.Errorf("sender heard %s", heard)
			}
		}
		s.Close()
		b.wait()
		if b.opened != 2 || len(b.taken) != 2 {
			t.Errorf("%d connections and %d messages, want 2 and 2", b.opened, len(b.taken))
		}
	})
}

func TestGoodbyeAtTheEndIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, upToText+"text\n< 421 4.3.2 going down\nhang")
		s := b.hop("smtp://mail.test").Open(someSender)
		deliver(s, someText)
		if heard := deliver(s, someText); heard != delivered {
			t.Errorf("sender heard %s", heard)
		}
		s.Close()
		b.wait()
	})
}

// TestMessageGivenUp: the server hears RSET with the next message.
func TestMessageGivenUp(t *testing.T) {
	b := newBackend(t, `
		< 220 ready
		> EHLO *
		< 250 backend
		> MAIL *
		< 250 ok
		> RCPT *
		< 250 ok
		> RSET
		< 250 forgotten
		> MAIL *
		< 250 ok
		> RCPT *
		< 550 5.1.1 no
		> RSET
		< 250 forgotten
		serve`)
	s := b.hop("smtp://mail.test").Open(someSender)
	mail, rcpt := s.Mail(someMail), s.Rcpt(someRcpt)
	mail()
	rcpt()
	s.Reset()
	if heard, want := deliver(s, someText), "MAIL 250, RCPT 550 5.1.1"; heard != want {
		t.Errorf("sender heard %s, want %s", heard, want)
	}
	if heard := deliver(s, someText); heard != delivered {
		t.Errorf("sender heard %s", heard)
	}
	s.Close()
	b.wait()
}

// TestMessageGivenUpWhileRepliesAreDue: they cannot be told from later ones.
func TestMessageGivenUpWhileRepliesAreDue(t *testing.T) {
	b := newBackend(t)
	b.offers = []string{"PIPELINING"}
	s := b.hop("smtp://mail.test").Open(someSender)
	mail, late := s.Mail(someMail), s.Rcpt(someRcpt)
	mail()
	s.Reset()
	if heard := deliver(s, someText); heard != delivered {
		t.Errorf("sender heard %s", heard)
	}
	if reply := late(); reply.Positive() {
		t.Errorf("late answer: %s", reply)
	}
	s.Close()
	b.wait()
	if b.opened != 2 {
		t.Errorf("%d connections, want 2", b.opened)
	}
}

// TestNothingToldNothingOpened: a session without a message costs nothing.
func TestNothingToldNothingOpened(t *testing.T) {
	b := newBackend(t)
	s := b.hop("smtp://mail.test").Open(someSender)
	s.Mail(someMail)
	s.Reset()
	s.Close()
	if b.opened != 0 {
		t.Errorf("%d connections", b.opened)
	}
}
