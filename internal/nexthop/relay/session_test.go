package relay

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"postern/internal/logkey"
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

// hop returns a hop whose connections b plays in memory.
func (b *backend) hop(rawURL string) *Hop {
	b.t.Helper()
	config := mustParse(b.t, rawURL)
	config.Dial = b.dial
	return New(config, "front.test", nil)
}

// hopTCP returns a hop whose connections b plays over loopback.
func (b *backend) hopTCP(rawURL string) *Hop {
	b.t.Helper()
	config := mustParse(b.t, rawURL)
	config.Dial = b.dialTCP
	return New(config, "front.test", nil)
}

func mustParse(t *testing.T, rawURL string) Config {
	t.Helper()
	config, err := ParseURL(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// deliver sends one message and returns the replies, such as
// "MAIL 250, RCPT 250, DATA 354, end 250".
func deliver(s nexthop.Session, text string) string {
	replies := deliverTo(s, someMail, someRcpt)
	if replies != "MAIL 250, RCPT 250" {
		return replies
	}
	reply := s.Data()()
	replies += ", " + brief("DATA", reply)
	if reply.Intermediate() {
		replies += ", " + brief("end", s.Send(strings.NewReader(text)))
	}
	return replies
}

// checkDeliver sends one message and checks the replies.
func checkDeliver(t *testing.T, s nexthop.Session, want string) {
	t.Helper()
	if replies := deliver(s, someText); replies != want {
		t.Errorf("replies %s\nwant %s", replies, want)
	}
}

// deliverTo sends the envelope of a message and returns the replies.
func deliverTo(s nexthop.Session, mail smtp.Mail, recipients ...smtp.Recipient) string {
	answers := []nexthop.Answer{s.Mail(mail)}
	for _, rcpt := range recipients {
		answers = append(answers, s.Rcpt(rcpt))
	}
	replies := brief("MAIL", answers[0]())
	for _, answer := range answers[1:] {
		replies += ", " + brief("RCPT", answer())
	}
	return replies
}

const delivered = "MAIL 250, RCPT 250, DATA 354, end 250"

// brief returns the code of a reply, and the enhanced one unless it is positive.
func brief(at string, reply smtp.Reply) string {
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
		checkDeliver(t, s, delivered)
	}
	b.end(s)
	if b.opened != 1 {
		t.Errorf("%d connections, want 1", b.opened)
	}
}

func TestRepliesAreForwardedUnchanged(t *testing.T) {
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
	b.end(s)
}

func TestCallsOutOfOrderAreRefused(t *testing.T) {
	b := newBackend(t)
	s := b.hop("smtp://mail.test").Open(someSender)
	for name, reply := range map[string]smtp.Reply{
		"RCPT": s.Rcpt(someRcpt)(),
		"DATA": s.Data()(),
		"text": s.Send(strings.NewReader(someText)),
	} {
		if reply.String() != "503 5.5.1 send MAIL first" {
			t.Errorf("%s without MAIL: %s", name, reply)
		}
	}
	s.Mail(someMail)()
	if reply := s.Data()(); reply.String() != "554 5.5.1 no valid recipients" {
		t.Errorf("DATA without recipients: %s", reply)
	}
	b.end(s)
}

// lines is a log, without the times.
type lines struct{ bytes.Buffer }

func (l *lines) logger(hop *Hop) *slog.Logger {
	handler := slog.NewTextHandler(&l.Buffer, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	return slog.New(handler).With(slog.String(logkey.NextHop, hop.config.String()))
}

// offering returns a connection to a server with these capabilities.
func offering(keywords string, verified bool) *conn {
	caps := smtp.Capabilities{}
	for keyword := range strings.FieldsSeq(keywords) {
		caps[keyword] = ""
	}
	c := &conn{verified: verified}
	c.offers(caps)
	return c
}

func TestMailLine(t *testing.T) {
	whole := smtp.Mail{From: "a@example.org", Size: 9, Return: "FULL", EnvelopeID: "x"}
	for _, tt := range []struct {
		name     string
		mail     smtp.Mail
		offers   string
		verified bool
		want     string
	}{
		{"plain", smtp.Mail{From: "a@example.org"}, "", false, "MAIL FROM:<a@example.org>"},
		{"null sender", smtp.Mail{}, "", false, "MAIL FROM:<>"},
		{"all offered", whole, "SIZE DSN", false, "MAIL FROM:<a@example.org> SIZE=9 RET=FULL ENVID=x"},
		{"no SIZE", whole, "DSN", false, "MAIL FROM:<a@example.org> RET=FULL ENVID=x"},
		{"no DSN", whole, "SIZE", false, "MAIL FROM:<a@example.org> SIZE=9"},
		{"8-bit", smtp.Mail{EightBit: true}, "8BITMIME", false, "MAIL FROM:<> BODY=8BITMIME"},
		{"8-bit, not offered", smtp.Mail{EightBit: true}, "", false, "451 4.6.3 next hop does not support 8BITMIME now (RFC 6152)"},
		{"UTF-8", smtp.Mail{UTF8: true}, "SMTPUTF8", false, "MAIL FROM:<> SMTPUTF8"},
		{"UTF-8, not offered", smtp.Mail{UTF8: true}, "8BITMIME", false, "550 5.6.7 next hop does not support SMTPUTF8 (RFC 6531)"},
		{"REQUIRETLS", smtp.Mail{RequireTLS: true}, "REQUIRETLS", true, "MAIL FROM:<> REQUIRETLS"},
		{"REQUIRETLS, not offered", smtp.Mail{RequireTLS: true}, "", true, "550 5.7.30 next hop does not support REQUIRETLS (RFC 8689)"},
		{"REQUIRETLS, not verified", smtp.Mail{RequireTLS: true}, "REQUIRETLS", false, "550 5.7.30 next hop does not support REQUIRETLS (RFC 8689)"},
	} {
		line, refusal := mailLine(nil, tt.mail, offering(tt.offers, tt.verified))
		checkLine(t, tt.name, line, refusal, tt.want)
	}
}

func TestRcptLine(t *testing.T) {
	for _, tt := range []struct {
		name   string
		rcpt   smtp.Recipient
		offers string
		want   string
	}{
		{"plain", smtp.Recipient{To: "b@example.org"}, "", "RCPT TO:<b@example.org>"},
		{"DSN", smtp.Recipient{To: "b@x", Notify: "SUCCESS", Original: "rfc822;b@x"}, "DSN", "RCPT TO:<b@x> NOTIFY=SUCCESS ORCPT=rfc822;b@x"},
		{"no DSN, failure", smtp.Recipient{To: "b@x", Notify: "FAILURE,DELAY", Original: "rfc822;b@x"}, "", "RCPT TO:<b@x>"},
		{"no DSN, never", smtp.Recipient{To: "b@x", Notify: "NEVER"}, "", "RCPT TO:<b@x>"},
		{"no DSN, success", smtp.Recipient{To: "b@x", Notify: "FAILURE,SUCCESS"}, "", "451 4.3.3 next hop does not support DSN now (RFC 3461)"},
	} {
		line, refusal := rcptLine(nil, tt.rcpt, offering(tt.offers, false))
		checkLine(t, tt.name, line, refusal, tt.want)
	}
}

func checkLine(t *testing.T, name string, line []byte, refusal *smtp.Reply, want string) {
	t.Helper()
	got := strings.TrimSuffix(string(line), "\r\n")
	if refusal != nil {
		got = refusal.String()
	}
	if got != want {
		t.Errorf("%s: %s, want %s", name, got, want)
	}
}
