package smtpd

import (
	"strings"
	"testing"
	"time"

	"postern/internal/smtp"
)

// A reply is all that a sender's administrator has.
func TestEachReplySaysWhatIsWrong(t *testing.T) {
	s := startStrict(t)
	s.dial(t).play(`
		< 220 mx.example.org ESMTP Postern ??????????
		> MAIL FROM:<a@example.net>
		< 503 5.5.1 send EHLO first
		> EHLO
		< 501 5.5.4 expected a host name
		> EHLO ` + strings.Repeat("a", 256) + `
		< 501 5.5.4 expected a host name
		> HELO ` + strings.Repeat("a", 255) + `
		< 250 mx.example.org
		> EHLO sender.example extra
		< 250 mx.example.org greets * | PIPELINING | SIZE 1000 | ENHANCEDSTATUSCODES | CHUNKING | STARTTLS | 8BITMIME | SMTPUTF8 | DSN
		> NOOP
		< 250 2.0.0 OK
		> RSET
		< 250 2.0.0 message reset
		> HELP
		< 214 2.0.0 Postern accepts mail for its own domains (RFC 5321)
		> VRFY b
		< 252 2.5.0 cannot VRFY user, but will accept message
		> EXPN list
		< 502 5.5.1 EXPN not offered
		> TURN
		< 502 5.5.1 TURN not offered
		> ETRN example.org
		< 502 5.5.1 ETRN not offered
		> SEND FROM:<a@example.net>
		< 502 5.5.1 SEND not offered
		> SOML FROM:<a@example.net>
		< 502 5.5.1 SOML not offered
		> SAML FROM:<a@example.net>
		< 502 5.5.1 SAML not offered
		> AUTH PLAIN
		< 502 5.5.1 AUTH not offered
		> XYZZY
		< 500 5.5.1 command not recognized
		> DATA x
		< 501 5.5.4 DATA takes no argument
		> DATA
		< 503 5.5.1 send MAIL first
		> RCPT TO:<b@example.org>
		< 503 5.5.1 send MAIL first
		> BDAT 3
		> x\-
		>
		< 503 5.5.1 send MAIL first
		> STARTTLS x
		< 501 5.5.4 STARTTLS takes no argument
		> QUIT
		< 221 2.0.0 goodbye (id ??????????)
		CLOSED`)
	if r := s.result(); r.End != "quit" || r.EHLO != "sender.example" {
		t.Errorf("the session of %q ended with %q", r.EHLO, r.End)
	}
}

// startStrict starts a server for one recipient and small messages.
func startStrict(t *testing.T) *testServer {
	t.Helper()
	return startServer(t, func(set *Settings, _ *memoryHop) {
		set.Recipients = []string{"b@example.org"}
		set.Limits = Limits{Errors: 100, MessageSize: 1000}
	})
}

func TestEachReplyToAnEnvelopeSaysWhatIsWrong(t *testing.T) {
	s := startStrict(t)
	s.dial(t).play(`
		< 220 *
		> EHLO sender.example
		< 250 *
		> MAIL FROM:a@example.net
		< 501 5.5.4 address must be in <>
		> MAIL FROM:<a@example.net> SIZE=1001
		< 552 5.3.4 message exceeds size limit (see SIZE)
		> MAIL FROM:<a@example.net> SIZE=1000
		< 250 2.1.0 sender taken
		> MAIL FROM:<a@example.net>
		< 503 5.5.1 message already begun; RSET cancels it
		> RCPT TO:<b@elsewhere.example>
		< 550 5.7.1 not accepting mail for this domain
		> RCPT TO:<b%elsewhere.example@example.org>
		< 550 5.7.1 not relaying
		> RCPT TO:<elsewhere!b@example.org>
		< 550 5.7.1 not relaying
		> RCPT TO:<"b@elsewhere.example"@example.org>
		< 550 5.7.1 not relaying
		> RCPT TO:<c@example.org>
		< 550 5.1.1 no such recipient
		> DATA
		< 554 5.5.1 no valid recipients
		> RCPT TO:<postmaster@example.org>
		< 250 2.1.5 recipient taken
		> RSET
		< 250 2.0.0 message reset
		> STARTTLS
		< 220 2.0.0 ready to start TLS (id ??????????)
		TLS
		> EHLO sender.example
		< 250 *
		> STARTTLS
		< 503 5.5.1 TLS already active
		> QUIT
		< 221 2.0.0 goodbye (id ??????????)
		CLOSED`)
	if r := s.result(); r.End != "quit" {
		t.Errorf("the session ended with %q", r.End)
	}
}

func TestServerWithoutTLSOffersNone(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) { set.TLS = nil })
	s.dial(t).play(`
		< 220 *
		> EHLO a
		< 250 mx.example.org greets * | PIPELINING | SIZE 52428800 | ENHANCEDSTATUSCODES | CHUNKING | 8BITMIME | SMTPUTF8 | DSN
		> STARTTLS
		< 502 5.5.1 STARTTLS not offered`)
}

func TestTextThatBreaksARuleIsRefusedWithTheRule(t *testing.T) {
	for text, want := range map[string]string{
		`a\0b`:                           "550 5.6.0 NUL in message (RFC 5322, section 4)",
		`a\nb`:                           "550 5.6.0 LF without CR in message, lines must end in CRLF (RFC 5321, section 2.3.8)",
		`a\rb`:                           "550 5.6.0 CR without LF in message, lines must end in CRLF (RFC 5321, section 2.3.8)",
		strings.Repeat("a", 101):         "550 5.6.0 line of message too long (RFC 5322, section 2.1.1)",
		"Received: a\n> Received: b":     "554 5.4.6 too many Received fields: mail loop",
		strings.Repeat("a\n> ", 400):     "552 5.3.4 message exceeds size limit (see SIZE)",
		"Received: a\n> \n> Received: b": "250 2.0.0 stored",
	} {
		s := startServer(t, func(set *Settings, _ *memoryHop) { set.Limits = Limits{TextLine: 100, Hops: 1, MessageSize: 1000} })
		s.dial(t).play(toText + "\n> " + text + "\n> .\n< " + want)
	}
}

// The log has the end of each session in words.
func TestEndsOfSessions(t *testing.T) {
	const hello, envelope = "< 220 *\n> EHLO a\n< 250 *\n", "> MAIL FROM:<a@example.net>\n< 250 *\n> RCPT TO:<b@example.org>\n< 250 *\n"
	for dialogue, end := range map[string]string{
		"> GET / HTTP/1.1\n< 421 4.7.0 SMTP only, not a web server\nCLOSED":                                                  "HTTP request",
		"> POST / HTTP/1.1\n< 421 4.7.0 SMTP only, not a web server\nCLOSED":                                                 "HTTP request",
		"> PUT / HTTP/1.1\n< 421 4.7.0 SMTP only, not a web server\nCLOSED":                                                  "HTTP request",
		"> HEAD / HTTP/1.1\n< 421 4.7.0 SMTP only, not a web server\nCLOSED":                                                 "HTTP request",
		"> CONNECT mx:25 HTTP/1.1\n< 421 4.7.0 SMTP only, not a web server\nCLOSED":                                          "HTTP request",
		"> OPTIONS / HTTP/1.1\n< 421 4.7.0 SMTP only, not a web server\nCLOSED":                                              "HTTP request",
		"> NOOP " + strings.Repeat("a", 93) + "\n< 250 *\n> QUIT\n< 221 *\nCLOSED":                                           "quit",
		"> NOOP " + strings.Repeat("a", 94) + "\n< 500 5.5.2 command line longer than 100 bytes\nCLOSED":                     "command too long",
		"> NOOP\\n\\-\n< 500 5.5.2 command line must end in CRLF, not LF\nCLOSED":                                            "bare LF in command",
		"> STARTTLS\n> NOOP\n< 554 5.5.1 data between STARTTLS and TLS\nCLOSED":                                              "data after STARTTLS",
		"> \n< 500 5.5.1 command not recognized\n> QUIT\n< 221 *\nCLOSED":                                                    "quit",
		"> \x16\\-\n< 500 5.5.1 TLS starts after EHLO and STARTTLS on this port\nCLOSED":                                     "TLS without STARTTLS",
		envelope + "> BDAT 1\n> a\\-\n< 250 *\n> RSET\\n\\-\n< 500 5.5.2 command line must end in CRLF, not LF\nCLOSED":      "bare LF in command",
		"> BDAT 9223372036854775808 LAST\n< 501 5.5.4 expected BDAT size [[]LAST]\nCLOSED":                                   "bad BDAT",
		"> STARTTLS\n> X\\-\n< 554 5.5.1 data between STARTTLS and TLS\nCLOSED":                                              "data after STARTTLS",
		"> BDAT x\n< 501 5.5.4 expected BDAT size [[]LAST]\nCLOSED":                                                          "bad BDAT",
		"> BDAT 1 FIRST\n< 501 5.5.4 expected BDAT size [[]LAST]\nCLOSED":                                                    "bad BDAT",
		envelope + "> BDAT 1\n> a\\-\n< 250 2.0.0 chunk received\n> MAIL FROM:<>\n< 503 5.5.1 expected BDAT or RSET\nCLOSED": "unexpected command between chunks",
		envelope + "> BDAT 1\n> a\\-\n< 250 *\n> QUIT\n< 221 *\nCLOSED":                                                      "quit",
		"> X\n> X\n> X\n< 500 *\n< 500 *\n< 500 *\n< 421 4.7.0 too many errors\nCLOSED":                                      "too many errors",
		strings.Repeat("> NOOP\n< 250 *\n", 7) + "> NOOP\n< 421 4.7.0 too many commands without a message\nCLOSED":           "too many commands",
	} {
		s := startServer(t, func(set *Settings, _ *memoryHop) { set.Limits = Limits{CommandLine: 100, Errors: 2, Commands: 8} })
		s.dial(t).play(hello + dialogue)
		if r := s.result(); r.End != end {
			t.Errorf("after %q the session ended with %q, %v", dialogue, r.End, r.Err)
		}
	}
}

func TestNextHopsOddRepliesAreDeferred(t *testing.T) {
	for step, want := range map[string]string{
		"DATA": "451 4.5.0 unexpected reply from next hop",
		"Send": "451 4.5.0 next hop replied before end of message",
	} {
		s := startServer(t, func(_ *Settings, h *memoryHop) {
			h.early = step == "Send"
			h.replies = map[string]smtp.Reply{step: smtp.NewReply(250, "2.0.0", "already done")}
		})
		dialogue := "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n< 250 *\n> RCPT TO:<b@example.org>\n< 250 *\n> DATA\n"
		if step == "Send" {
			dialogue += "< 354 *\n> x\n> .\n"
		}
		s.dial(t).play(dialogue + "< " + want)
	}
}

// What operators and senders rely on when nothing is configured.
func TestDefaultLimits(t *testing.T) {
	got := Limits{}.withDefaults()
	want := Limits{
		MessageSize: 52_428_800, TextLine: 65_536, CommandLine: 2048, Recipients: 100, Messages: 1000, Commands: 1000, Errors: 20, Hops: 100,
		CommandTimeout: 5 * time.Minute, TextTimeout: 3 * time.Minute, WriteTimeout: time.Minute,
		HandshakeTimeout: 30 * time.Second, SessionTime: 2 * time.Hour,
	}
	want.Total.Connections, want.Total.Starts, want.Total.Bytes = 10_000, 1000, 104_857_600
	want.PerNetwork.Connections, want.PerNetwork.Starts, want.PerNetwork.Bytes = 200, 100, 20_971_520
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	set := Limits{Hops: 7, SessionTime: time.Minute}.withDefaults()
	if set.Hops != 7 || set.SessionTime != time.Minute || set.Errors != 20 {
		t.Errorf("%+v", set)
	}
}

// Whatever the limit is, a line of a command is not longer than what a session reads at once.
func TestTheLongestCommand(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) { set.Limits.CommandLine = 1 << 20 })
	s.dial(t).play("< 220 *\n> NOOP " + strings.Repeat("x", 4096-len("NOOP \r\n")) + "\n< 250 *\n> NOOP " + strings.Repeat("x", 4097-len("NOOP \r\n")) + "\n< 500 5.5.2 *\nCLOSED")
}

// Senders learn the smaller of two maximum sizes.
func TestSIZEIsThatOfServerAndNextHop(t *testing.T) {
	for size, want := range map[int64]string{0: "SIZE 1000", 999: "SIZE 999", 1001: "SIZE 1000"} {
		s := startServer(t, func(set *Settings, h *memoryHop) { set.Limits.MessageSize, h.can.Size = 1000, size })
		s.dial(t).play("< 220 *\n> EHLO a\n< 250 * | PIPELINING | " + want + " | *")
	}
}
