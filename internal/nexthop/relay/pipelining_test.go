package relay

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// TestManyRecipientsArePipelinedInBatches: a server that replies while it reads must not
// block because its replies are not read.
func TestManyRecipientsArePipelinedInBatches(t *testing.T) {
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
		if len(write) > maxBatch {
			t.Errorf("%d bytes at once", len(write))
		}
	}
	if len(writes) != 1+4 { // EHLO, and 200 times 264 bytes
		t.Errorf("%d writes", len(writes))
	}
	b.end(s)
}

// TestUnsupportedCommandsAreNotSent: Postern refuses what the server does not support,
// and sends the commands around it.
func TestUnsupportedCommandsAreNotSent(t *testing.T) {
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
	replies := deliverTo(s, someMail,
		smtp.Recipient{To: "a@example.org"},
		smtp.Recipient{To: "b@example.org", Notify: "SUCCESS"},
		smtp.Recipient{To: "c@example.org>\r\nRCPT TO:<evil@example.org"},
		smtp.Recipient{To: "d@example.org"})
	if want := "MAIL 250, RCPT 250, RCPT 451 4.3.3, RCPT 501 5.5.2, RCPT 250"; replies != want {
		t.Errorf("replies %s\nwant %s", replies, want)
	}
	replies = deliverTo(s, smtp.Mail{UTF8: true}, someRcpt, someRcpt)
	if want := "MAIL 550 5.6.7, RCPT 550 5.6.7, RCPT 550 5.6.7"; replies != want {
		t.Errorf("replies %s\nwant %s", replies, want)
	}
	b.end(s)
}

// TestDataWithoutAcceptedRecipients: DATA is already sent when the server refuses the
// only recipient.
func TestDataWithoutAcceptedRecipients(t *testing.T) {
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
					t.Errorf("server still got %q", text)
				}
			}
			s := b.hopTCP("smtp://mail.test").Open(someSender)
			answers := []nexthop.Answer{s.Mail(someMail), s.Rcpt(someRcpt), s.Data()}
			replies := brief("MAIL", answers[0]()) + ", " + brief("RCPT", answers[1]()) + ", " + brief("DATA", answers[2]())
			if want := "MAIL 250, RCPT 550 5.1.1, DATA 554 5.5.1"; replies != want {
				t.Errorf("replies %s, want %s", replies, want)
			}
			s.Reset()
			checkDeliver(t, s, delivered)
			b.end(s)
			if b.opened != tt.opened || len(b.taken) != 1 {
				t.Errorf("%d connections and %d messages, want %d and 1", b.opened, len(b.taken), tt.opened)
			}
		})
	}
}

const firstMessage = upToText + "text\nkeep\n< 250 2.0.0 taken\n"

// TestStaleConnectionIsReplaced: a server may close a connection that is idle
// between two messages.
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
				checkDeliver(t, s, delivered)
			}
			b.end(s)
			if b.opened != 2 || len(b.taken) != 2 {
				t.Errorf("%d connections and %d messages, want 2 and 2", b.opened, len(b.taken))
			}
		})
	}
}

// TestStaleConnectionIsReplacedOnce: the sender gets the second connection's failure.
func TestStaleConnectionIsReplacedOnce(t *testing.T) {
	b := newBackend(t, firstMessage+"close", "< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\nclose")
	s := b.hopTCP("smtp://mail.test").Open(someSender)
	deliver(s, someText)
	checkDeliver(t, s, "MAIL 451 4.4.2, RCPT 451 4.4.2")
	b.end(s)
	if b.opened != 2 {
		t.Errorf("%d connections, want 2", b.opened)
	}
}

// TestFreshConnectionIsNotReplaced: a failure of a new connection counts.
func TestFreshConnectionIsNotReplaced(t *testing.T) {
	b := newBackend(t, "< 220 ready\n> EHLO *\n< 250 backend\n> MAIL *\nclose")
	s := b.hopTCP("smtp://mail.test").Open(someSender)
	checkDeliver(t, s, "MAIL 451 4.4.2, RCPT 451 4.4.2")
	b.end(s)
}

// TestSilentConnectionIsNotReplaced: by then the sender has waited long enough.
func TestSilentConnectionIsNotReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, firstMessage+"> MAIL *\nhang")
		s := b.hop("smtp://mail.test").Open(someSender)
		deliver(s, someText)
		checkDeliver(t, s, "MAIL 451 4.4.1, RCPT 451 4.4.1")
		b.end(s)
	})
}

// TestUnexpectedReplyEndsTheConnection: otherwise it could be taken for the reply to
// another command.
func TestUnexpectedReplyEndsTheConnection(t *testing.T) {
	tooMuch := map[string]string{
		"after the greeting": "<- 220 ready\r\n250 backend\r\n",
		"after 354": strings.Replace(upToText, "< 354 go on",
			"<- 354 go on\r\n250 2.0.0 taken already\r\n", 1),
	}
	for name, script := range tooMuch {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, strings.ReplaceAll(script, "\r\n", `\r\n`)+"\nhang")
				s := b.hop("smtp://mail.test").Open(someSender)
				replies := deliver(s, someText)
				if !strings.HasSuffix(replies, "451 4.5.0") {
					t.Errorf("replies %s", replies)
				}
				b.end(s)
				if len(b.taken) != 0 {
					t.Error("the text was sent")
				}
			})
		})
	}
}

// TestUnexpectedReplyAfterTheFinalOneEndsTheConnection: the message is accepted, and
// the connection is not used again.
func TestUnexpectedReplyAfterTheFinalOneEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, upToText+`text
			keep
			<- 250 2.0.0 taken\r\n250 2.0.0 taken twice\r\n
			hang`)
		s := b.hop("smtp://mail.test").Open(someSender)
		for range 2 {
			checkDeliver(t, s, delivered)
		}
		b.end(s)
		if b.opened != 2 || len(b.taken) != 2 {
			t.Errorf("%d connections and %d messages, want 2 and 2", b.opened, len(b.taken))
		}
	})
}

func Test421AsFinalReplyEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend(t, upToText+"text\n< 421 4.3.2 going down\nhang")
		s := b.hop("smtp://mail.test").Open(someSender)
		deliver(s, someText)
		checkDeliver(t, s, delivered)
		b.end(s)
	})
}

// TestResetSendsRSETWithTheNextMessage: not before.
func TestResetSendsRSETWithTheNextMessage(t *testing.T) {
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
	checkDeliver(t, s, "MAIL 250, RCPT 550 5.1.1")
	checkDeliver(t, s, delivered)
	b.end(s)
}

// The next message, not the one after it, sends RSET, though it is refused before MAIL is sent.
func TestOneRSETIsEnough(t *testing.T) {
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
		< 250 ok
		> DATA
		< 354 go on
		text
		keep
		< 250 ok
		serve`)
	s := b.hop("smtp://mail.test").Open(someSender)
	deliverTo(s, someMail, someRcpt)
	s.Reset()
	if replies := deliverTo(s, smtp.Mail{UTF8: true}, someRcpt); replies != "MAIL 550 5.6.7, RCPT 550 5.6.7" {
		t.Errorf("replies %s", replies)
	}
	checkDeliver(t, s, delivered)
	b.end(s)
}

// A message that was begun and not sent leaves no recipient to the next one.
func TestMailForgetsAnUnfinishedMessage(t *testing.T) {
	b := newBackend(t)
	s := b.hop("smtp://mail.test").Open(someSender)
	deliverTo(s, someMail, someRcpt)
	if reply := s.Mail(someMail)(); !reply.Positive() {
		t.Fatal(reply)
	}
	if reply := s.Data()(); reply.String() != "554 5.5.1 no valid recipients" {
		t.Errorf("DATA: %s", reply)
	}
	b.end(s)
}

// TestResetWhileRepliesAreDueEndsTheConnection: later replies could not be told apart.
func TestResetWhileRepliesAreDueEndsTheConnection(t *testing.T) {
	b := newBackend(t)
	b.offers = []string{"PIPELINING"}
	s := b.hop("smtp://mail.test").Open(someSender)
	mail, late := s.Mail(someMail), s.Rcpt(someRcpt)
	mail()
	s.Reset()
	checkDeliver(t, s, delivered)
	if reply := late(); reply.Positive() {
		t.Errorf("late answer: %s", reply)
	}
	b.end(s)
	if b.opened != 2 {
		t.Errorf("%d connections, want 2", b.opened)
	}
}

// TestSessionWithoutMessageOpensNoConnection: it costs the server nothing.
func TestSessionWithoutMessageOpensNoConnection(t *testing.T) {
	b := newBackend(t)
	s := b.hop("smtp://mail.test").Open(someSender)
	s.Mail(someMail)
	s.Reset()
	s.Close()
	if b.opened != 0 {
		t.Errorf("%d connections", b.opened)
	}
}
