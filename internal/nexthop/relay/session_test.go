package relay

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

var (
	someSender = nexthop.Sender{
		SessionID: "7Q2F",
		Addr:      netip.MustParseAddrPort("192.0.2.7:40001"),
		Local:     netip.MustParseAddrPort("198.51.100.25:25"),
		Greeting:  "out.example.net",
		Extended:  true,
	}
	someMail = smtp.Mail{From: "alice@example.net"}
	someRcpt = smtp.Recipient{To: "bob@example.org"}
	someText = "Subject: hello\r\n\r\n.hidden dot\r\n"
)

// hop makes a hop whose connections b plays in memory.
func (b *backend) hop(rawURL string) *Hop {
	b.t.Helper()
	config := mustParse(b.t, rawURL)
	config.Dial = b.dial
	return New(config, "front.test", nil)
}

// hopTCP makes a hop whose connections b plays over loopback.
func (b *backend) hopTCP(rawURL string) *Hop {
	b.t.Helper()
	config := mustParse(b.t, rawURL)
	config.Dial = b.dialTCP
	return New(config, "front.test", nil)
}

func mustParse(t *testing.T, rawURL string) Config {
	t.Helper()
	config, err := Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// deliver sends one message and tells what the sender hears, such as
// "MAIL 250, RCPT 250, DATA 354, end 250".
func deliver(s nexthop.Session, text string) string {
	heard := deliverTo(s, someMail, someRcpt)
	if heard != "MAIL 250, RCPT 250" {
		return heard
	}
	reply := s.Data()()
	heard += ", " + told("DATA", reply)
	if reply.Intermediate() {
		heard += ", " + told("end", s.Send(strings.NewReader(text)))
	}
	return heard
}

// deliverTo sends the envelope of a message and tells what the sender hears.
func deliverTo(s nexthop.Session, mail smtp.Mail, recipients ...smtp.Recipient) string {
	answers := []nexthop.Answer{s.Mail(mail)}
	for _, rcpt := range recipients {
		answers = append(answers, s.Rcpt(rcpt))
	}
	heard := told("MAIL", answers[0]())
	for _, answer := range answers[1:] {
		heard += ", " + told("RCPT", answer())
	}
	return heard
}

const delivered = "MAIL 250, RCPT 250, DATA 354, end 250"

func told(at string, reply smtp.Reply) string {
	words := at + " " + strconv.Itoa(reply.Code)
	if !reply.Positive() && reply.Enhanced() != "" {
		words += " " + reply.Enhanced()
	}
	return words
}

func TestMessagesShareOneConnection(t *testing.T) {
	b := newBackend(t, `
		< 220 backend ready
		> EHLO front.test
		< 250 backend
		> MAIL FROM:<alice@example.net>
		< 250 2.1.0 ok
		> RCPT TO:<bob@example.org>
		< 250 2.1.5 ok
		> DATA
		< 354 go on
		> Subject: hello
		> 
		> ..hidden dot
		> .
		< 250 2.0.0 taken as 1
		> MAIL FROM:<alice@example.net>
		< 250 2.1.0 ok
		> RCPT TO:<bob@example.org>
		< 250 2.1.5 ok
		> DATA
		< 354 go on
		text
		< 250 2.0.0 taken as 2
		> QUIT
		< 221 2.0.0 bye`)
	s := b.hop("smtp://mail.test").Open(someSender)
	for range 2 {
		if heard := deliver(s, someText); heard != delivered {
			t.Errorf("sender heard %s", heard)
		}
	}
	s.Close()
	b.wait()
	if b.opened != 1 {
		t.Errorf("%d connections, want 1", b.opened)
	}
}

func TestRepliesPassAsTheyAre(t *testing.T) {
	b := newBackend(t, `
		< 220 backend ready
		> EHLO *
		< 250 backend
		> MAIL *
		< 250-2.1.0 fine,
		< 250 2.1.0 go on
		> RCPT *
		< 550-5.1.1 nobody here of that name
		< 550 5.1.1 see https://example.org/
		> QUIT
		< 221 bye`)
	s := b.hop("smtp://mail.test").Open(someSender)
	mail, rcpt := s.Mail(someMail), s.Rcpt(someRcpt)
	if got, want := string(mail().Append(nil)), "250-2.1.0 fine,\r\n250 2.1.0 go on\r\n"; got != want {
		t.Errorf("MAIL: %q, want %q", got, want)
	}
	if got, want := string(rcpt().Append(nil)), "550-5.1.1 nobody here of that name\r\n550 5.1.1 see https://example.org/\r\n"; got != want {
		t.Errorf("RCPT: %q, want %q", got, want)
	}
	s.Close()
	b.wait()
}

func TestCallsOutOfOrderAreRefused(t *testing.T) {
	b := newBackend(t)
	s := b.hop("smtp://mail.test").Open(someSender)
	for name, reply := range map[string]smtp.Reply{
		"RCPT": s.Rcpt(someRcpt)(),
		"DATA": s.Data()(),
		"text": s.Send(strings.NewReader(someText)),
	} {
		if reply.Code != 503 {
			t.Errorf("%s without MAIL: %s", name, reply)
		}
	}
	s.Mail(someMail)()
	if reply := s.Data()(); reply.Code != 554 {
		t.Errorf("DATA without recipients: %s", reply)
	}
	s.Close()
	b.wait()
}
