package smtpd

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"postern/internal/logkey"
	"postern/internal/smtp"
)

// Pipelined commands are replied to later: each refusal names its own command, and who
// refused it.
func TestRefusedCommandsAreReported(t *testing.T) {
	s := startServer(t, func(set *Settings, hop *memoryHop) {
		set.Recipients = []string{"b@example.org", "greylisted@example.org", "gone@example.org"}
		set.Limits.MessageSize = 1000
		hop.replies = map[string]smtp.Reply{
			"RCPT greylisted@example.org": {Code: 450, Lines: []string{"4.2.0 greylisted"}, Remote: true},
			"RCPT gone@example.org":       {Code: 550, Lines: []string{"gone"}, Remote: true},
		}
	})
	c := s.dial(t)
	c.play(`
		< 220 *
		> MAIL FROM:<early@sender.example>
		< 503 *
		> EHLO sender.example
		< 250 *
		> MAIL FROM:<big@sender.example> SIZE=2000
		< 552 *
		> WIZ
		< 500 *
		> MAIL FROM:<a@sender.example>
		> RCPT TO:<greylisted@example.org>
		> RCPT TO:<b@example.org>
		> RCPT TO:<gone@example.org>
		> RCPT TO:<nobody@example.org>
		> RCPT TO:<a@elsewhere.example>
		< 250 *
		< 450 *
		< 250 *
		< 550 *
		< 550 *
		< 550 *
		> DATA
		< 354 *
		> NUL \0
		> .
		< 550 5.6.0 *
		> MAIL FROM:<a@sender.example>
		> RCPT TO:<b@example.org>
		> DATA
		< 250 *
		< 250 *
		< 354 *
		> Hello
		> .
		< 250 *
		> MAIL FROM:<a@sender.example>
		> RCPT TO:<b@example.org>
		< 250 *
		< 250 *`)
	s.hop.mu.Lock()
	s.hop.replies["DATA"] = smtp.Reply{Code: 451, Lines: []string{"4.3.1 disk full"}, Remote: true}
	s.hop.mu.Unlock()
	c.play("> DATA\n< 451 *\n> RCPT TO:<b@example.org>\n< 503 *\n> MAIL FROM:<c@sender.example>\n< 250 *\n> QUIT\n< 221 *")
	result := s.result()
	var got []string
	for _, c := range s.observed.refused {
		by := "postern"
		if c.Reply.Remote {
			by = "next hop"
		}
		got = append(got, fmt.Sprintf("%s %s %v %d %s", c.Command, c.From, c.Recipients, c.Reply.Code, by))
	}
	want := []string{
		"MAIL early@sender.example [] 503 postern",
		"MAIL big@sender.example [] 552 postern",
		"UNKNOWN  [] 500 postern",
		"RCPT a@sender.example [greylisted@example.org] 450 next hop",
		"RCPT a@sender.example [gone@example.org] 550 next hop",
		"RCPT a@sender.example [nobody@example.org] 550 postern",
		"RCPT a@sender.example [a@elsewhere.example] 550 postern",
		"END-OF-MESSAGE a@sender.example [b@example.org] 550 postern",
		"DATA a@sender.example [b@example.org] 451 next hop",
		"RCPT  [b@example.org] 503 postern",
	}
	if !slices.Equal(got, want) {
		t.Errorf("refused\n%q, want\n%q", got, want)
	}
	if result.Refused != 8 || result.Deferred != 2 || result.Messages != 1 || result.Recipients != 1 {
		t.Errorf("the result counts %d refused, %d deferred, %d messages to %d recipients", result.Refused, result.Deferred, result.Messages, result.Recipients)
	}
	if m := s.observed.accepted; len(m) != 1 || m[0].From != "a@sender.example" || !slices.Equal(m[0].Recipients, []string{"b@example.org"}) {
		t.Errorf("accepted %+v", m)
	}
}

func TestAConnectionOverTheLimitIsReported(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) { set.Limits.PerNetwork.Connections = 1 })
	s.dial(t).play("< 220 *")
	s.dial(t).play("< 421 *\nCLOSED")
	r := s.result()
	if c := s.observed.refused; len(c) != 1 || c[0].Command != "CONNECT" || c[0].Session != r.ID || r.Deferred != 1 {
		t.Errorf("refused %+v, session %+v", c, r)
	}
}

func TestACommandThatCannotBeReadIsReported(t *testing.T) {
	for _, line := range []string{"EHLO a\n", "EHLO " + strings.Repeat("a", 5000) + "\r\n"} {
		s := startServer(t, nil)
		c := s.dial(t)
		c.play("< 220 *")
		c.send(line)
		c.play("< 500 *\nCLOSED")
		if r := s.result(); r.Refused != 1 || len(s.observed.refused) != 1 || s.observed.refused[0].Command != "UNKNOWN" {
			t.Errorf("%.10q: refused %+v, session %+v", line, s.observed.refused, r)
		}
	}
}

// A reply that ends a session by itself is no refused command: the session's end says it.
func TestTimeoutIsNotARefusedCommand(t *testing.T) {
	s := startServer(t, nil)
	c := s.dial(t)
	c.play("< 220 *\n> EHLO a\n< 250 *")
	s.drain()
	c.play("< 421 *\nCLOSED")
	if r := s.result(); r.Deferred != 0 || len(s.observed.refused) != 0 || r.End != "drained" {
		t.Errorf("refused %+v, session %+v", s.observed.refused, r)
	}
}

// Whatever stands where a chunk should, and a chunk at the wrong time, is reported by its verb.
func TestRefusalsAroundChunksNameTheirCommand(t *testing.T) {
	const begin = "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<a@example.net>\n< 250 *\n> RCPT TO:<b@example.org>\n< 250 *\n> BDAT 1\n> x\\-\n< 250 *\n"
	for dialogue, want := range map[string]string{
		begin + "> RCPT TO:<c@example.org>\n< 503 *\nCLOSED": "RCPT [c@example.org]",
		begin + "> WIZ\n< 503 *\nCLOSED":                     "UNKNOWN []",
		begin + "> BDAT y\n< 503 *\nCLOSED":                  "BDAT []",
		"< 220 *\n> BDAT 1\n> x\\-\n< 503 *":                 "BDAT []",
		"< 220 *\n> BDAT 1 LAST\n> x\\-\n< 503 *":            "BDAT []",
		begin + "> BDAT 2 LAST\n> \\ny\\-\n< 550 *\nCLOSED":  "END-OF-MESSAGE [b@example.org]",
	} {
		s := startServer(t, nil)
		c := s.dial(t)
		c.play(dialogue)
		c.Close()
		s.result()
		if r := s.observed.refused; len(r) != 1 || fmt.Sprintf("%s %v", r[0].Command, r[0].Recipients) != want {
			t.Errorf("after %q: refused %+v, want %s", dialogue, r, want)
		}
	}
}

// With debug logging each accepted message has a line.
func TestAcceptedMessagesAreLogged(t *testing.T) {
	s := startServer(t, nil)
	var lines strings.Builder
	s.log = slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{
		Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == logkey.Sender {
				return slog.Attr{}
			}
			return a
		},
	}))
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<a@sender.example>\n< 250 *\n> RCPT TO:<b@example.org>\n< 250 *\n> DATA\n< 354 *\n> x\n> .\n< 250 *\n> QUIT\n< 221 *")
	r := s.result()
	if got, want := lines.String(), fmt.Sprintf("level=DEBUG msg=message session=%s from=a@sender.example rcpts=[b@example.org] reply=\"250 2.0.0 stored\"\n", r.ID); got != want {
		t.Errorf("the log has\n%s, want\n%s", got, want)
	}
}
