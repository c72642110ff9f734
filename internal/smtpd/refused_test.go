package smtpd

import (
	"strings"
	"testing"

	"postern/internal/smtp"
)

const toText = "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<a@example.net>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *"

// A message that is refused already, for its size or by the hop, can still hide
// another one after a false end.
func TestNothingIsSmuggledAfterARefusedMessage(t *testing.T) {
	const hidden = "MAIL FROM:<evil@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nhidden\r\n.\r\n"
	for name, begin := range map[string]string{
		"line":  strings.Repeat("x", 200) + "\r\n",
		"hops":  "Received: a\r\nReceived: b\r\n",
		"size":  strings.Repeat("x\r\n", 2000),
		"early": "x\r\n",
	} {
		for _, end := range []string{"\n.\n", "\n.\r\n"} {
			t.Run(name+strings.NewReplacer("\r", "CR", "\n", "LF").Replace(end), func(t *testing.T) {
				s := startServer(t, func(set *Settings, h *memoryHop) {
					set.Limits = Limits{MessageSize: 4000, TextLine: 100, Hops: 1}
					h.early = name == "early"
				})
				c := s.dial(t)
				c.play(toText)
				c.send(begin + end + hidden)
				c.play("< 550 5.6.0 LF without CR*\nCLOSED")
				if got := s.hop.taken(); len(got) > 0 {
					t.Errorf("the hop got %+v", got)
				}
			})
		}
	}
}

// After a 421 the server neither asks for text nor accepts it.
func TestNoTextIsAcceptedAfter421(t *testing.T) {
	for name, text := range map[string]string{"DATA": "DATA\r\nx\r\n.\r\n", "BDAT": "BDAT 3 LAST\r\nx\r\n"} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, func(set *Settings, h *memoryHop) {
				set.Limits.Errors = 1
				h.replies = map[string]smtp.Reply{"RCPT no@example.org": smtp.NewReply(550, "5.1.1", "nobody")}
			})
			c := s.dial(t)
			c.play("< 220 *\n> EHLO a\n< 250 *")
			c.send("MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<no@example.org>\r\nRCPT TO:<no@example.org>\r\n" + text)
			c.play("< 250 *\n< 250 *\n< 550 *\n< 550 *\n< 421 4.7.0 too many errors\nCLOSED")
			s.result()
			if got := s.hop.taken(); len(got) > 0 {
				t.Errorf("the hop got %+v", got)
			}
		})
	}
}

// Refused messages count for the byte rate.
func TestRefusedTextCounts(t *testing.T) {
	text := strings.Repeat("x\r\n", 1000)
	begin := strings.TrimSuffix(toText, "\n> DATA\n< 250 *\n< 250 *\n< 354 *") + "\n< 250 *\n< 250 *"
	for name, play := range map[string]func(*client){
		"refused for its hops": func(c *client) {
			c.play(toText)
			c.send("Received: a\r\nReceived: b\r\n" + text + ".\r\n")
			c.play("< 554 *")
		},
		"cancelled between chunks": func(c *client) {
			c.play(begin)
			c.send("BDAT 3000\r\n" + text + "RSET\r\n")
			c.play("< 250 *\n< 250 *")
		},
		"a chunk at the wrong time": func(c *client) {
			c.play("< 220 *\n> EHLO a\n< 250 *")
			c.send("BDAT 3000\r\n" + text)
			c.play("< 503 *")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, func(set *Settings, _ *memoryHop) {
				set.Limits.Hops = 1
				set.Limits.PerNetwork.Bytes = 1
			})
			c := s.dial(t)
			c.t = t
			play(c)
			c.play("> MAIL FROM:<>\n< 450 4.7.0 *too much mail from your address 127.0.0.1,*")
		})
	}
}

// A large message in chunks of 4 KiB or more has thousands of them.
func TestLargeChunksDoNotCountAsCommands(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) { set.Limits.Commands = 10 })
	c := s.dial(t)
	c.play("< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n< 250 *\n< 250 *")
	chunk := "BDAT 4096\r\n" + strings.Repeat("12345\r\n+", 512)
	for range 100 {
		c.send(chunk)
		c.play("< 250 *")
	}
	c.play("> BDAT 0 LAST\n< 250 2.0.0 stored")
	c.play("> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n< 250 *\n< 250 *")
	small := "BDAT 4095\r\n" + strings.Repeat("12345\r\n", 585)
	for range 13 {
		c.send(small)
		c.play("< 250 *")
	}
	c.play("> BDAT 4095\n< 421 4.7.0 too many chunks\nCLOSED")
	if r := s.result(); r.End != "too many commands" {
		t.Errorf("the session ended with %q", r.End)
	}
}
