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

	// FalseEnd, if not empty, follows the text in place of the end of data, for example
	// "\n.\n", and a second message with the same envelope follows it. [Result.Replies] has
	// what the server makes of that.
	FalseEnd string
}

// Check returns an error if the envelope is invalid.
func (m *TestMessage) Check() error {
	if m.To == "" {
		return errors.New("test message: no recipient")
	}
	for _, address := range []string{m.From, m.To} {
		if !isWord(address) {
			return fmt.Errorf("test message: address %q contains a space, a bracket or a control character", address)
		}
	}
	return nil
}

// send sends the message. The error is a [*refusal] if the server does not accept it.
func (m *TestMessage) send(t *textConn, name string) error {
	for _, command := range m.commands() {
		if _, err := t.command(command); err != nil {
			return err
		}
	}
	if err := t.write(m.text(name) + "\r\n."); err != nil {
		return err
	}
	_, err := t.reply("the message")
	return err
}

func (m *TestMessage) commands() []string {
	return []string{"MAIL FROM:<" + m.From + ">", "RCPT TO:<" + m.To + ">", "DATA"}
}

// text is the message without the end of data. No line of it begins with a dot.
func (m *TestMessage) text(name string) string {
	from := m.From
	if from == "" {
		from = "postmaster@" + name
	}
	return strings.Join([]string{
		"Date: " + time.Now().Format(time.RFC1123Z),
		"From: <" + from + ">",
		"To: <" + m.To + ">",
		"Message-ID: <" + rand.Text() + "@" + strings.Trim(name, "[]") + ">",
		"Subject: Test of this mail server's TLS",
		"",
		"This message was sent on request, to test mail delivery. Please ignore it.",
	}, "\r\n")
}

// maxReplies bounds the replies of a server that takes each line of the second message for
// a command.
const maxReplies = 20

// smuggle sends two messages with a false end between them and returns the last lines of
// the replies, from that to the first text on. A server that sees one message replies once,
// so QUIT is sent after the first reply and ends the wait for more.
func (m *TestMessage) smuggle(t *textConn, name string) (replies []string, err error) {
	commands := m.commands()
	for _, command := range commands {
		if _, err := t.command(command); err != nil {
			return nil, err
		}
	}
	second := strings.Join(commands, "\r\n") + "\r\n" + m.text(name)
	if err := t.write(m.text(name) + m.FalseEnd + second + "\r\n."); err != nil {
		return nil, err
	}
	sent := "the message"
	for len(replies) < maxReplies {
		reply, err := t.reply(sent)
		if refused := new(*refusal); err != nil && !errors.As(err, refused) {
			break // closing is an answer, too
		}
		replies = append(replies, reply[len(reply)-1])
		if strings.HasPrefix(reply[0], "221") {
			break
		}
		if sent != t.quit {
			sent = t.quit
			_ = t.write(sent) // if it fails, so does the next reply
		}
	}
	if replies == nil {
		return nil, errors.New("the server closed the connection instead of replying to the message")
	}
	return replies, nil
}
