package testpeer

import (
	"fmt"
	"strings"
)

// Message is what a client sends. Each empty field has a default.
type Message struct {
	From string // envelope sender; sender@sender.test
	To   string // envelope recipient; user@localhost
	Text string // header and body; a short one. Line ends are made CRLF.
}

func (m Message) orDefault() Message {
	if m.From == "" {
		m.From = "sender@sender.test"
	}
	if m.To == "" {
		m.To = "user@localhost"
	}
	if m.Text == "" {
		m.Text = fmt.Sprintf("From: <%s>\nTo: <%s>\nSubject: a test\n\nHello.\n", m.From, m.To)
	}
	return m
}

// envelope is the commands before the text.
func (m Message) envelope() []string {
	return []string{"MAIL FROM:<" + m.From + ">", "RCPT TO:<" + m.To + ">", "DATA"}
}

// dotted is the text as it follows 354: lines end in CRLF, leading dots are
// doubled, and the final dot stands there (RFC 5321, Section 4.5.2).
func (m Message) dotted() string {
	text := strings.ReplaceAll(m.Text, "\r\n", "\n")
	text = strings.TrimSuffix(text, "\n") + "\n"
	text = strings.ReplaceAll("\n"+text, "\n.", "\n..")[1:]
	return strings.ReplaceAll(text, "\n", "\r\n") + ".\r\n"
}

// batch is a whole SMTP dialogue's commands for n copies of m, each with a
// header field that numbers it from 1.
func (m Message) batch(n int) string {
	var b strings.Builder
	b.WriteString("EHLO sender.test\r\n")
	for i := range n {
		numbered := m
		numbered.Text = fmt.Sprintf("X-Number: %d\n%s", i+1, m.Text)
		b.WriteString(strings.Join(m.envelope(), "\r\n") + "\r\n" + numbered.dotted())
	}
	b.WriteString("QUIT\r\n")
	return b.String()
}
