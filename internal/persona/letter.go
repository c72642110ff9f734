package persona

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// A Letter is the envelope of one short message, whose text says that it is a test.
type Letter struct {
	From, To string // addresses without angle brackets; From may be empty (RFC 5321, Section 4.5.5)

	// FalseEnd, when not empty, stands behind the text in place of its end, such as
	// "\n.\n", and a second message with the same envelope behind it: what the server
	// makes of that is in [Visit.Answers].
	FalseEnd string
}

// Check returns what is wrong with the envelope, or nil.
func (l *Letter) Check() error {
	if l.To == "" {
		return fmt.Errorf("letter: no recipient")
	}
	for _, address := range []string{l.From, l.To} {
		if !isWord(address) {
			return fmt.Errorf("letter: address %q: has a space, a bracket or a control character", address)
		}
	}
	return nil
}

// send sends the message. The error is a [*refusal] when the server does not take it.
func (l *Letter) send(line *line, name string) error {
	for _, command := range l.commands() {
		if _, err := line.ask(command); err != nil {
			return err
		}
	}
	if err := line.say(l.text(name) + "\r\n."); err != nil {
		return err
	}
	_, err := line.reply("the message")
	return err
}

func (l *Letter) commands() []string {
	return []string{"MAIL FROM:<" + l.From + ">", "RCPT TO:<" + l.To + ">", "DATA"}
}

// text is the message without its end. No line of it begins with a dot.
func (l *Letter) text(name string) string {
	from := l.From
	if from == "" {
		from = "postmaster@" + name
	}
	return strings.Join([]string{
		"Date: " + time.Now().Format(time.RFC1123Z),
		"From: <" + from + ">",
		"To: <" + l.To + ">",
		"Message-ID: <" + rand.Text() + "@" + strings.Trim(name, "[]") + ">",
		"Subject: Test of this mail server's TLS",
		"",
		"This message was sent on request, to test how mail gets in. It needs no answer.",
	}, "\r\n")
}
