package persona

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A TestMessage is the envelope of one short message, whose text says that it is a test.
type TestMessage struct {
	From, To string // addresses without angle brackets; From may be empty (RFC 5321, Section 4.5.5)

	// FalseEnd, when not empty, stands behind the text in place of its end, such as
	// "\n.\n", and a second message with the same envelope behind it: what the server
	// makes of that is in [Result.Replies].
	FalseEnd string
}

// Check returns what is wrong with the envelope, or nil.
func (l *TestMessage) Check() error {
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
func (l *TestMessage) send(line *textConn, name string) error {
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

func (l *TestMessage) commands() []string {
	return []string{"MAIL FROM:<" + l.From + ">", "RCPT TO:<" + l.To + ">", "DATA"}
}

// text is the message without its end. No line of it begins with a dot.
func (l *TestMessage) text(name string) string {
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

// maxAnswers bounds what is read of a server that takes each line of the second message
// for a command.
const maxAnswers = 20

// smuggle sends two messages with a false end between them, and returns what the server
// says, a line each, from the reply to the first text on to its goodbye. A server that
// sees one message answers once; so no answer is waited for that may not come.
func (l *TestMessage) smuggle(line *textConn, name string) (answers []string, err error) {
	commands := l.commands()
	for _, command := range commands {
		if _, err := line.ask(command); err != nil {
			return nil, err
		}
	}
	second := strings.Join(commands, "\r\n") + "\r\n" + l.text(name)
	if err := line.say(l.text(name) + l.FalseEnd + second + "\r\n."); err != nil {
		return nil, err
	}
	said := "the message"
	for len(answers) < maxAnswers {
		reply, err := line.reply(said)
		if refused := new(*refusal); err != nil && !errors.As(err, refused) {
			break // it hung up, which is an answer, too
		}
		answers = append(answers, reply[len(reply)-1])
		if strings.HasPrefix(reply[0], "221") {
			break
		}
		if said != line.quit {
			said = line.quit
			_ = line.say(said) // if it fails, so does the next reply
		}
	}
	if answers == nil {
		return nil, errors.New("the server closed the connection in place of a reply to the message")
	}
	return answers, nil
}
