package relay

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"postern/internal/smtp"
)

const upToLMTPText = `
	< 220 ready
	> LHLO front.test
	< 250-backend
	< 250 PIPELINING
	> MAIL *
	< 250 ok
	> RCPT TO:<a@example.org>
	< 250 ok
	> RCPT TO:<b@example.org>
	< 550 5.1.1 no such user
	> RCPT TO:<c@example.org>
	< 250 ok
	> DATA
	< 354 go on
	text
`

// sendLMTP sends a message for a, b and c, of which the server refuses b, and
// returns the final reply.
func sendLMTP(t *testing.T, b *backend, log *lines) smtp.Reply {
	t.Helper()
	hop := b.hop("lmtp://mail.test:24")
	hop.log = log.logger(hop)
	s := hop.Open(someSender)
	s.Mail(someMail)()
	for _, name := range []string{"a", "b", "c"} {
		s.Rcpt(smtp.Recipient{To: name + "@example.org"})()
	}
	if reply := s.Data()(); !reply.Intermediate() {
		t.Fatalf("DATA: %s", reply)
	}
	reply := s.Send(strings.NewReader(someText))
	checkDeliver(t, s, delivered)
	b.end(s)
	return reply
}

// TestLMTPRepliesAreCombined by the rule of
// docs/decisions/0004-lmtp-many-replies.md.
func TestLMTPRepliesAreCombined(t *testing.T) {
	const differ = "LMTP recipients got different replies"
	for _, tt := range []struct{ name, a, c, want, log string }{
		{"all have it", "250 2.0.0 saved as 1", "250 2.0.0 saved as 2",
			"250 2.0.0 saved as 1\r\n", ""},
		{"one may get it later", "250 2.0.0 saved", "452 4.2.2 over quota",
			"452-4.2.2 over quota\r\n" +
				"452-4.2.2 <a@example.org> delivered: 250 2.0.0 saved\r\n" +
				"452 4.2.2 <c@example.org> deferred: 452 4.2.2 over quota\r\n", differ},
		{"one may get it later, one never", "554 5.6.0 virus", "452 4.2.2 over quota",
			"452-4.2.2 over quota\r\n" +
				"452-4.2.2 <a@example.org> refused: 554 5.6.0 virus\r\n" +
				"452 4.2.2 <c@example.org> deferred: 452 4.2.2 over quota\r\n", differ},
		{"one never gets it", "554 5.6.0 virus", "250 2.0.0 saved",
			"554-5.6.0 virus\r\n" +
				"554-5.6.0 <a@example.org> refused: 554 5.6.0 virus\r\n" +
				"554 5.6.0 <c@example.org> delivered: 250 2.0.0 saved\r\n", differ},
		{"none gets it", "554 5.6.0 virus", "552 5.2.2 full",
			"554-5.6.0 virus\r\n" +
				"554-5.6.0 <a@example.org> refused: 554 5.6.0 virus\r\n" +
				"554 5.6.0 <c@example.org> refused: 552 5.2.2 full\r\n", ""},
		{"without enhanced codes", "250 ok", "550 no",
			"550-no\r\n550-<a@example.org> delivered: 250 ok\r\n550 <c@example.org> refused: 550 no\r\n", differ},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBackend(t, fmt.Sprintf("%s\n< %s\n< %s\nserve", upToLMTPText, tt.a, tt.c))
			log := &lines{}
			reply := sendLMTP(t, b, log)
			if got := string(reply.Append(nil)); got != tt.want {
				t.Errorf("reply\n%s, want\n%s", got, tt.want)
			}
			if got := log.String(); strings.Contains(got, differ) != (tt.log != "") {
				t.Errorf("log: %q", got)
			}
		})
	}
}

// TestLMTPReplyMissing: it is known for some recipients only whether they have the
// message, so it must be sent again for all.
func TestLMTPReplyMissing(t *testing.T) {
	for end, want := range map[string]string{
		"close":                       "end 451 4.4.2",
		"hang":                        "end 451 4.4.1",
		"< what?\nhang":               "end 451 4.5.0",
		"< 354 more?\nhang":           "end 451 4.5.0",
		"< 421 4.3.2 down\nclose":     "end 421 4.3.2",
		`<- 250 2.0.0 sa` + "\nclose": "end 451 4.4.2",
	} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(t, upToLMTPText+"< 250 2.0.0 saved\n"+end)
				log := &lines{}
				if got := brief("end", sendLMTP(t, b, log)); got != want {
					t.Errorf("reply %s, want %s", got, want)
				}
				if !strings.Contains(log.String(), "<a@example.org> delivered: 250 2.0.0 saved") {
					t.Errorf("log does not name those who have the message: %s", log)
				}
			})
		})
	}
}

func TestCombinedLMTPReplyIsBounded(t *testing.T) {
	b := newBackend(t)
	s := b.hop("lmtp://mail.test:24").Open(someSender).(*session)
	replies := make([]smtp.Reply, 100)
	for i := range replies {
		replies[i] = smtp.NewReply(250, "2.0.0", strings.Repeat("ü", 1000))
		s.accepted = append(s.accepted, strings.Repeat("x", 300)+"@example.org")
	}
	replies[99] = smtp.NewReply(550, "5.1.1", "no")
	reply := s.combineReplies(replies)
	if len(reply.Lines) != 1+maxStatuses+1 || reply.Lines[len(reply.Lines)-1] != "5.1.1 and 50 more" {
		t.Errorf("%d lines, the last %q", len(reply.Lines), reply.Lines[len(reply.Lines)-1])
	}
	for _, line := range reply.Lines {
		if len(line) > 512-len("550-\r\n") || strings.ContainsRune(line, '\ufffd') {
			t.Errorf("line of %d bytes: %q", len(line), line)
		}
	}
}

func TestLMTPOverUnixSocket(t *testing.T) {
	b := newBackend(t, "< 220 ready\n> LHLO front.test\n< 250-backend\n< 250 STARTTLS\n> QUIT\n< 221 bye")
	hop := b.hop("lmtp+unix:///run/mail/lmtp")
	if err := hop.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	b.wait()
}
