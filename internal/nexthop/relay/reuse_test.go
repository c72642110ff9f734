package relay

import (
	"strings"
	"testing"
	"testing/synctest"
)

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
