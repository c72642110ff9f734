package smtpd

import (
	"crypto/tls"
	"regexp"
	"slices"
	"strings"
	"testing"

	"postern/internal/smtp"
)

func TestMailOverSTARTTLS(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play(`
		< 220 mx.example.org ESMTP Postern ??????????
		> EHLO sender.example
		< 250 mx.example.org greets * | PIPELINING | SIZE 52428800 | ENHANCEDSTATUSCODES | CHUNKING | STARTTLS | 8BITMIME | SMTPUTF8 | DSN
		> STARTTLS
		< 220 2.0.0 *(id ??????????)
		TLS
		> EHLO sender.example
		< 250 mx.example.org greets * | 8BITMIME | SMTPUTF8 | DSN | REQUIRETLS
		> MAIL FROM:<a@sender.example> SIZE=20 REQUIRETLS
		< 250 2.1.0 *
		> RCPT TO:<b@example.org> NOTIFY=NEVER
		< 250 2.1.5 *
		> DATA
		< 354 send message; end it with a line that has only a dot
		> Subject: x
		>
		> ..dot
		> .
		< 250 2.0.0 *
		> QUIT
		< 221 2.0.0 *
		CLOSED`)
	got := s.hop.taken()
	if len(got) != 1 || got[0].mail.From != "a@sender.example" || !got[0].mail.RequireTLS || got[0].to[0] != "b@example.org" {
		t.Fatalf("the hop got %+v", got)
	}
	trace, text, _ := strings.Cut(got[0].text, "\r\nSubject: ")
	if text != "x\r\n\r\n.dot\r\n" {
		t.Errorf("text %q", text)
	}
	for _, want := range []string{
		"Received: from sender.example ([127.0.0.1])\r\n",
		"\tby mx.example.org (Postern) with ESMTPS id ",
		"\t(TLS1.3 TLS_", "\tfor <b@example.org>;\r\n\t",
	} {
		if !strings.Contains(trace, want) {
			t.Errorf("%q lacks %q", trace, want)
		}
	}
	if id := regexp.MustCompile(` id \w{10}\.1\r\n`); !id.MatchString(trace) {
		t.Errorf("%q lacks the id of a session's first message", trace)
	}
	if sender := s.hop.senders[0]; sender.TLS == nil || sender.Greeting != "sender.example" || !sender.Extended {
		t.Errorf("the hop got the sender %+v", sender)
	}
}

func TestReceivedSaysThatASessionWasResumed(t *testing.T) {
	s := startServer(t, nil)
	config := &tls.Config{RootCAs: s.cert.Pool, ServerName: "mx.example.org", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	for range 2 {
		c := s.dial(t)
		c.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *")
		c.handshake(config)
		c.play("> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> x\n> .\n< 250 *\n> QUIT\n< 221 *")
	}
	first, second := s.hop.taken()[0].text, s.hop.taken()[1].text
	if strings.Contains(first, " resumed)") || !strings.Contains(second, " resumed)") {
		t.Errorf("first %q\nsecond %q", first, second)
	}
}

// RFC 3207, Section 4.2.
func TestSTARTTLSResetsTheSession(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play(`
		< 220 *
		> EHLO a
		< 250 *
		> MAIL FROM:<a@example.net>
		< 250 *
		> STARTTLS
		< 220 *
		TLS
		> RCPT TO:<b@example.org>
		< 503 5.5.1 *
		> MAIL FROM:<a@example.net>
		< 503 5.5.1 *EHLO*
		> EHLO a
		< 250 *
		> STARTTLS
		< 503 5.5.1 *`)
}

func TestAFailedHandshakeEndsTheSessionWithoutPlaintext(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.play("< 220 *\n> EHLO unlucky.example\n< 250 *\n> STARTTLS\n< 220 *\n> this is not TLS\n> MAIL FROM:<a@b.c>")
	c.In.Discard(c.In.Buffered())
	rest := make([]byte, 100)
	n, _ := c.In.Read(rest)
	if n > 0 && rest[0] != 21 { // an alert record is allowed
		t.Errorf("the server sent %q", rest[:n])
	}
	if r := s.result(); r.End != "TLS handshake failed" || r.EHLO != "unlucky.example" || !strings.HasPrefix(r.Err.Error(), "tls: ") {
		t.Errorf("the result is %+v", r)
	}
	if len(s.hop.steps) > 0 {
		t.Errorf("the hop got %v", s.hop.steps)
	}
}

// CVE-2011-0411.
func TestBytesAfterSTARTTLSAreNeverCommands(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n> EHLO b\n> MAIL FROM:<evil@example.net>\n< 554 5.5.1 *\nCLOSED")
	// Sent after STARTTLS was read, they are not a TLS record.
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *\n> EHLO b\n> MAIL FROM:<evil@example.net>")
	s.result()
	s.result()
	if len(s.hop.steps) > 0 {
		t.Errorf("the hop got %v", s.hop.steps)
	}
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play(`
		< 220 *
		> EHLO a
		> MAIL FROM:<a@example.net>
		> RCPT TO:<b@elsewhere.example>
		> RCPT TO:<b@example.org>
		> RCPT TO:<bad
		> DATA
		< 250 *
		< 250 2.1.0 *
		< 550 5.7.1 *
		< 250 2.1.5 *
		< 501 5.5.4 *
		< 354 *
		> x
		> .
		> RSET
		> QUIT
		< 250 2.0.0 *
		< 250 2.0.0 *
		< 221 *
		CLOSED`)
}

func TestOneRefusedRecipientDoesNotAffectOthers(t *testing.T) {
	s := startServer(t, func(_ *Settings, h *memoryHop) {
		h.replies = map[string]smtp.Reply{"MAIL": smtp.NewReply(451, "4.4.1", "next hop does not answer")}
	})
	s.dial(t).play(`
		< 220 *
		> EHLO a
		> MAIL FROM:<a@example.net>
		> RCPT TO:<b@example.org>
		> DATA
		< 250 *
		< 451 4.4.1 next hop does not answer
		< 250 *
		< 503 5.5.1 *
		> QUIT
		< 221 *`)
}

// A recipient of a refused message is not a recipient of the next one.
func TestRecipientsOfARefusedMessageAreDiscarded(t *testing.T) {
	s := startServer(t, func(_ *Settings, h *memoryHop) {
		h.replies = map[string]smtp.Reply{"MAIL": smtp.NewReply(451, "4.4.1", "next hop does not answer")}
	})
	c := s.dial(t)
	c.play("< 220 *\n> EHLO a\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n< 250 *\n< 451 *\n< 250 *")
	s.hop.mu.Lock()
	delete(s.hop.replies, "MAIL")
	s.hop.mu.Unlock()
	c.play("> MAIL FROM:<>\n> DATA\n< 250 *\n< 554 5.5.1 no valid recipients")
}

// Attempts to use the server as a relay.
func TestNothingIsEverRelayed(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) { set.Limits.Errors = 100 })
	c := s.dial(t)
	c.play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<a@example.net> SMTPUTF8\n< 250 *")
	for _, refused := range []string{
		"<x@elsewhere.example>",
		"<x%elsewhere.example@example.org>",
		"<elsewhere.example!x@example.org>",
		`<"x@elsewhere.example"@example.org>`,
		`<"x%elsewhere.example"@example.org>`,
		"<@example.org:x@elsewhere.example>",
		"<@example.org,@elsewhere.example:x@elsewhere.example>",
		"<x@[127.0.0.1]>",
		"<x@example.org.elsewhere.example>",
		"<x@example.org@elsewhere.example>",
		"<x@elsewhere.example@example.org>",
		"<example.org!x>",
		"<x>",
		"<>",
		"<x@example.org\x00>",
	} {
		c.send("RCPT TO:" + refused + "\r\n")
		if reply := c.reply(); !reply.Permanent() {
			t.Errorf("RCPT TO:%s: %s", refused, reply)
		}
	}
	for _, taken := range []string{
		"<x@example.org>", "<x@EXAMPLE.org>", "<@elsewhere.example:x@example.org>", `<"a b"@example.org>`,
		"<postmaster>", "<x@bücher.example>", "<x@xn--bcher-kva.example>",
	} {
		c.send("RCPT TO:" + taken + "\r\n")
		if reply := c.reply(); !reply.Positive() {
			t.Errorf("RCPT TO:%s: %s", taken, reply)
		}
	}
}

// A domain that only Postern considers equal to its own can be another one to the next hop,
// which may relay for Postern.
func TestTheNextHopSeesDomainsAsTheyWereCompared(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<a@example.net> SMTPUTF8\n< 250 *")
	for _, spelling := range []string{
		"x@EXAMPLE.org", "x@example\u3002org", "x@ex\u00adample.org", "x@exam\u200bple.org", "x@ｅｘａｍｐｌｅ.org", "x@BÜCHER.example",
	} {
		c.send("RCPT TO:<" + spelling + ">\r\n")
		c.play("< 250 *")
	}
	c.play("> DATA\n< 354 *\n> .\n< 250 *")
	got := strings.Join(s.hop.taken()[0].to, " ")
	if want := strings.Repeat("x@example.org ", 5) + "x@xn--bcher-kva.example"; got != want {
		t.Errorf("next hop saw %q, want %q", got, want)
	}
}

func TestOnlyListedRecipientsAreAccepted(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) { set.Recipients = []string{"Anna@example.org"} })
	s.dial(t).play(`
		< 220 *
		> EHLO a
		> MAIL FROM:<>
		> RCPT TO:<anna@example.org>
		> RCPT TO:<postmaster@example.org>
		> RCPT TO:<bert@example.org>
		< 250 *
		< 250 *
		< 250 *
		< 250 *
		< 550 5.1.1 *`)
}

// The published ways to smuggle a second message after a false end
// (CVE-2023-51764, CVE-2023-51765, CVE-2023-51766 and relatives).
func TestSmuggledMessagesAreRefused(t *testing.T) {
	for _, end := range []string{
		`\n.\n`, `\n.\r\n`, `\r\n.\n`, `\r.\r`, `\r\n.\r`, `\r.\r\n`, `\r.\n`, `\n.\r`, `\r\r\n.\r\n`, `\n\n.\r\n`, `\0\n.\r\n`,
	} {
		s := startServer(t, nil)
		c := s.dial(t)
		c.play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *")
		c.send(spell("first" + end + `MAIL FROM:<evil@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nsecond\r\n.\r\n\-`))
		c.play("< 550 5.6.0 *without*\nCLOSED")
		if got := s.hop.taken(); len(got) > 0 {
			t.Errorf("%s: the hop got %+v", end, got)
		}
	}
}

func TestBareLFInACommandIsRefused(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n" +
		`> Subject: x\n\nbody\n.\n\-` + "\n< 550 5.6.0 LF without CR*\nCLOSED")
	s.dial(t).play("< 220 *\n" + `> EHLO a\n\-` + "\n< 500 5.5.2 *CRLF*\nCLOSED")
}

func TestBDAT(t *testing.T) {
	s := startServer(t, nil)
	begin := "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org>\n< 250 *\n< 250 *\n"
	s.dial(t).play(begin + `
		> BDAT 5
		> .xy\-
		> \r\n\-
		< 250 2.0.0 *
		> BDAT 3
		> .\r\n\-
		> BDAT 0 LAST
		< 250 2.0.0 *
		< 250 2.0.0 stored
		> QUIT
		< 221 *`)
	s.dial(t).play(begin + "> BDAT 3\n" + `> a\r\n\-` + "\n< 250 *\n> RSET\n< 250 2.0.0 *\n> BDAT 3 LAST\n" + `> a\r\n\-` + "\n< 503 5.5.1 *\n> QUIT\n< 221 *")
	for _, instead := range []string{"RSET", "EHLO a", "HELO a", "QUIT"} {
		s.dial(t).play(begin + "> BDAT 3\n" + `> a\r\n\-` + "\n< 250 *\n> " + instead + "\n< 2* *")
	}
	s.dial(t).play(begin + "> BDAT 3\n" + `> a\r\n\-` + "\n< 250 *\n> DATA\n< 503 5.5.1 *\nCLOSED")
	s.dial(t).play(begin + "> BDAT 5 LAST\n" + `> a\nb\r\n\-` + "\n< 550 5.6.0 *\nCLOSED")
	s.dial(t).play(begin + "> BDAT x\n< 501 5.5.4 *\nCLOSED")
	s.dial(t).play(begin + "> BDAT -1\n< 501 5.5.4 *\nCLOSED")
	s.dial(t).play(begin + "> BDAT 5\n> abc\n< 250 *") // closed in the middle
	got := s.hop.taken()
	if len(got) != 1 || !strings.HasSuffix(got[0].text, "\r\n.xy\r\n.\r\n") {
		t.Errorf("the hop got %+v", got)
	}
}

// NOOP and its like can be used at any time and change nothing (RFC 5321, Sections 4.1.1.9 and
// 4.1.4): a client that keeps a slow message's session alive with them has not given up the message.
func TestCommandsBetweenChunksThatChangeNothing(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) { set.Limits.Errors = 1 })
	s.dial(t).play(`< 220 *
		> EHLO a
		< 250 *
		> MAIL FROM:<a@example.net>
		> RCPT TO:<b@example.org>
		> BDAT 5
		> one\r\n\-
		> NOOP
		< 250 2.1.0 *
		< 250 2.1.5 *
		< 250 2.0.0 chunk received
		< 250 2.0.0 OK
		> VRFY b
		< 252 2.5.0 *
		> EXPN b
		< 502 5.5.1 *
		> BDAT 5
		> two\r\n\-
		> HELP
		> BDAT 7 LAST
		> three\r\n\-
		< 250 2.0.0 chunk received
		< 214 2.0.0 *
		< 250 2.0.0 stored
		> QUIT
		< 221 *`)
	if got := s.hop.taken(); len(got) != 1 || !strings.HasSuffix(got[0].text, "\r\none\r\ntwo\r\nthree\r\n") {
		t.Errorf("the hop got %+v", got)
	}
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n< 250 *\n< 250 *\n> BDAT 1\n> x\\-\n< 250 *\n" +
		"> EXPN b\n> EXPN b\n> BDAT 0 LAST\n< 502 *\n< 502 *\n< 421 4.7.0 too many errors\nCLOSED")
	if got := s.hop.taken(); len(got) != 1 {
		t.Errorf("after too many errors the hop got %+v", got)
	}
}

// A sender may wait for the replies to its recipients before it sends a large chunk that it has
// announced in the same group: when there is no more to read, nothing is held back (RFC 2920,
// Section 3.2).
func TestRepliesDoNotWaitForAChunk(t *testing.T) {
	s := startServer(t, func(_ *Settings, h *memoryHop) {
		h.replies = map[string]smtp.Reply{"RCPT c@example.org": smtp.NewReply(550, "5.1.1", "no such mailbox")}
	})
	c := s.dial(t)
	c.play(`< 220 *
		> EHLO a
		< 250 *
		> MAIL FROM:<a@example.net>
		> RCPT TO:<b@example.org>
		> BDAT 3
		< 250 2.1.0 *
		< 250 2.1.5 *
		> x\r\n\-
		> BDAT 3 LAST
		> y\-
		< 250 2.0.0 chunk received
		> \r\n\-
		< 250 2.0.0 stored
		> MAIL FROM:<a@example.net>
		> RCPT TO:<c@example.org>
		> BDAT 3 LAST
		> z\-
		< 250 2.1.0 *
		< 550 5.1.1 *
		> \r\n\-
		< 554 5.5.1 no valid recipients
		> QUIT
		< 221 *`)
	if r := s.result(); r.Messages != 1 {
		t.Errorf("%d messages, want 1", r.Messages)
	}
}

func TestRepliesOfTheHopReachTheSender(t *testing.T) {
	full := smtp.Reply{Code: 552, Lines: []string{"5.2.2 mailbox full", "5.2.2 see https://example.org/full"}}
	s := startServer(t, func(_ *Settings, h *memoryHop) { h.replies = map[string]smtp.Reply{"Send": full} })
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> x\n> .\n" +
		"< 552 5.2.2 mailbox full | 5.2.2 see *\n> QUIT\n< 221 *")
}

// A backend's reply can have 128 lines of 2 KB; senders read lines of 512 bytes, and Exim 4 KB
// in all.
func TestEndlessRepliesOfTheNextHopAreCut(t *testing.T) {
	for at, commands := range map[string]string{
		"MAIL":               "> MAIL FROM:<>",
		"RCPT b@example.org": "> MAIL FROM:<>\n< 250 *\n> RCPT TO:<b@example.org>",
		"DATA":               "> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n< 250 *\n< 250 *\n> DATA",
		"Send":               "> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> .",
	} {
		s := startServer(t, func(_ *Settings, h *memoryHop) {
			h.replies = map[string]smtp.Reply{
				at: {Code: 550, Lines: slices.Repeat([]string{strings.Repeat("blocked ", 250)}, 128), Remote: true},
			}
		})
		c := s.dial(t)
		c.play("< 220 *\n> EHLO a\n< 250 *\n" + commands)
		size := 0
		for more := true; more; {
			line, err := c.In.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if size += len(line); len(line) > 512 || size > 4000 || !strings.HasPrefix(line[4:], "5.0.0 ") {
				t.Fatalf("%s: after %d bytes a line of %d: %.80q", at, size, len(line), line)
			}
			more = line[3] == '-'
		}
		c.play("> QUIT\n< 221 *")
		s.result()
		if logged := s.observed.refused[0].Reply; len(logged.String()) > 4000 {
			t.Errorf("%s: %d bytes for the log", at, len(logged.String()))
		}
	}
}

// RFC 2034, Section 4: the server offers ENHANCEDSTATUSCODES, the next hop may not.
func TestRepliesWithoutAnEnhancedCodeGetOne(t *testing.T) {
	s := startServer(t, func(_ *Settings, h *memoryHop) {
		h.replies = map[string]smtp.Reply{
			"MAIL": {Code: 250, Lines: []string{"ok"}},
			"RCPT": {Code: 250, Lines: []string{""}},
			"Send": {Code: 450, Lines: []string{"busy", "come back"}},
		}
	})
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 2.0.0 ok\n< 250 2.0.0*\n< 354 *\n> x\n> .\n" +
		"< 450 4.0.0 busy | 4.0.0 come back")
}

func TestAHopCanReplyBeforeTheEndOfTheMessage(t *testing.T) {
	s := startServer(t, func(_ *Settings, h *memoryHop) { h.early = true })
	c := s.dial(t)
	c.play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *")
	c.send(strings.Repeat("text\r\n", 100_000) + ".\r\nNOOP\r\n")
	c.play("< 452 4.3.1 disk full\n< 250 2.0.0 OK")
}

// A positive reply of the hop before the end of the message is not passed on.
func TestNothingIsAcknowledgedBeforeItsEnd(t *testing.T) {
	s := startServer(t, func(_ *Settings, h *memoryHop) {
		h.early = true
		h.replies = map[string]smtp.Reply{"Send": smtp.NewReply(250, "2.0.0", "sure")}
	})
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> x\n> .\n< 451 4.5.0 *")
}

func TestNULIsRefused(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n" +
		`> x\r\n\0.\r\nRSET\r\n.` + "\n< 550 5.6.0 NUL *\n> NOOP\n< 250 *")
}

func TestCommandsInWrongOrder(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play(`
		< 220 *
		> MAIL FROM:<a@example.net>
		< 503 5.5.1 *
		> RCPT TO:<b@example.org>
		< 503 5.5.1 *
		> DATA
		< 503 5.5.1 *
		> EHLO
		< 501 5.5.4 *
		> HELO old.example
		< 250 mx.example.org
		> MAIL FROM:<a@example.net>
		< 250 *
		> MAIL FROM:<a@example.net>
		< 503 5.5.1 *
		> DATA
		< 554 5.5.1 no valid recipients
		> DATA now
		< 501 5.5.4 *
		> STARTTLS now
		< 501 5.5.4 *
		> VRFY b
		< 252 2.5.0 *
		> AUTH PLAIN
		< 502 5.5.1 *
		> FROBNICATE
		< 500 5.5.1 *
		> HELP
		< 214 2.0.0 *
		> GET / HTTP/1.1
		< 421 4.7.0 SMTP only, not a web server
		CLOSED`)
}

func TestReplyToEachLimit(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) {
		set.Limits = Limits{MessageSize: 1000, TextLine: 100, Recipients: 2, Messages: 2, Errors: 3, Commands: 20, Hops: 1}
	})
	begin := "< 220 *\n> EHLO a\n< 250 * | SIZE 1000 | *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n"
	again := "> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> x\n> .\n< 250 *\n"
	line := strings.Repeat("x", 90) + "\n"
	for name, dialogue := range map[string]string{
		"declared size": "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<> SIZE=1001\n< 552 5.3.4 *",
		"size":          begin + strings.Repeat("> "+line, 12) + "> .\n< 552 5.3.4 *\n" + again,
		"line of text":  begin + "> " + strings.Repeat("x", 101) + "\n> .\n< 550 5.6.0 line *\n" + again,
		"hops":          begin + "> Received: a\n> Received: b\n>\n> .\n< 554 5.4.6 *\n" + again,
		"recipients":    "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n< 250 *\n> RCPT TO:<a@example.org>\n> RCPT TO:<b@example.org>\n> RCPT TO:<c@example.org>\n< 250 *\n< 250 *\n< 452 4.5.3 too many recipients for one message",
		"messages":      "< 220 *\n> EHLO a\n< 250 *\n" + again + again + "> MAIL FROM:<>\n< 421 4.7.0 *\nCLOSED",
		"errors":        "< 220 *\n> X\n> X\n> X\n> X\n< 500 *\n< 500 *\n< 500 *\n< 500 *\n< 421 4.7.0 too many errors\nCLOSED",
		"commands":      "< 220 *\n" + strings.Repeat("> NOOP\n< 250 *\n", 20) + "> NOOP\n< 421 4.7.0 *\nCLOSED",
		"command line":  "< 220 *\n> NOOP " + strings.Repeat("x", 2048) + "\n< 500 5.5.2 *\nCLOSED",
		"endless line":  "< 220 *\n> " + strings.Repeat("x", 5000) + `\-` + "\n< 500 5.5.2 *\nCLOSED",
		"name":          "< 220 *\n> EHLO " + strings.Repeat("x", 256) + "\n< 501 5.5.4 *",
		"invalid UTF-8": "< 220 *\n> EHLO \xff\n< 500 5.5.2 *",
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			c.t = t
			c.play(dialogue)
		})
	}
}

// The next hop must not keep a transaction that the sender has given up, and gets no command
// for one that it never had.
func TestNextHopFollowsTheTransaction(t *testing.T) {
	const begin = "> MAIL FROM:<a@example.net>\n< 250 *\n> RCPT TO:<b@example.org>\n< 250 *\n"
	for dialogue, want := range map[string]string{
		"> DATA\n< 503 *": "",
		"> RSET\n< 250 *": "",
		"> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org>\n> RSET\n< 250 *\n< 250 *\n< 250 *": "MAIL RCPT Reset",
		begin + "> STARTTLS\n< 220 *\nTLS":                     "MAIL RCPT Close",
		begin + "> RSET\n< 250 *":                              "MAIL RCPT Reset",
		begin + "> RSET\n< 250 *\n> RSET\n< 250 *":             "MAIL RCPT Reset",
		begin + "> EHLO a\n< 250 *":                            "MAIL RCPT Reset",
		begin + "> EHLO b\n< 250 *":                            "MAIL RCPT Reset Close",
		begin + "> HELO a\n< 250 *":                            "MAIL RCPT Reset Close",
		begin + "> DATA\n< 354 *\n> x\n> .\n< 250 *":           "MAIL RCPT DATA Send",
		begin + "> DATA\n< 354 *\n> x\n> .\n< 250 *\n" + begin: "MAIL RCPT DATA Send MAIL RCPT",
		begin + "> BDAT 1\n> x\\-\n< 250 *\n> RSET\n< 250 *":   "MAIL RCPT DATA Reset",
	} {
		s := startServer(t, nil)
		c := s.dial(t)
		c.play("< 220 *\n> EHLO a\n< 250 *\n" + dialogue + "\n> NOOP\n< 250 *")
		s.hop.mu.Lock()
		got := strings.Join(s.hop.steps, " ")
		s.hop.mu.Unlock()
		if got != want {
			t.Errorf("after %q the hop got %q, want %q", dialogue, got, want)
		}
	}
}

// A bare postmaster is that of the first domain (RFC 5321, Section 4.5.1).
func TestBarePostmaster(t *testing.T) {
	for want, domains := range map[string][]string{
		"postmaster@example.org":           {"EXAMPLE.org"},
		"postmaster@xn--bcher-kva.example": {"bücher.example", "example.org"},
	} {
		s := startServer(t, func(set *Settings, _ *memoryHop) { set.Domains = domains })
		s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<postmaster>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> x\n> .\n< 250 *")
		if got := s.hop.taken()[0].to[0]; got != want {
			t.Errorf("domains %q: the hop got %q, want %q", domains, got, want)
		}
	}
}
