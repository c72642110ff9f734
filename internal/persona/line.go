package persona

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

const (
	// maxLine bounds a line that the server says, in bytes. RFC 5321, Section
	// 4.5.3.1.5 allows 512; the rest is for servers that do not count.
	maxLine = 2048

	// maxLines bounds a reply. The longest greetings and EHLO replies have about 20.
	maxLines = 100
)

// A line is a connection on which commands and replies go to and fro.
type line struct {
	language
	in  *bufio.Reader
	out io.Writer
}

func newLine(l language, conn io.ReadWriter) *line {
	return &line{l, bufio.NewReaderSize(conn, maxLine), conn}
}

// A refusal is the server's reply to a command that it did not follow.
type refusal struct {
	command string // its verb, or what it is; empty: the greeting
	reply   []string
}

func (r *refusal) Error() string {
	what := "greeted with"
	if r.command != "" {
		what = "answered " + r.command + " with"
	}
	return fmt.Sprintf("the server %s %q", what, r.reply[len(r.reply)-1])
}

// ask says a command and returns the reply.
func (l *line) ask(command string) (reply []string, err error) {
	if err := l.say(command); err != nil {
		return nil, err
	}
	return l.reply(verb(command))
}

// say says a command. Lines that come behind it are sent in the same write.
func (l *line) say(command string) error {
	_, err := io.WriteString(l.out, command+"\r\n")
	return err
}

// listen begins to read ahead, and returns when something has come or after a pause.
// Until heard is closed nobody else may read.
func (l *line) listen(pause time.Duration) (heard <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = l.in.Peek(1) // an error shows at the next read
	}()
	select {
	case <-done:
	case <-time.After(pause):
	}
	return done
}

// reply reads the reply to a command, of which it takes the verb; empty: the
// greeting. The error is a [*refusal]
// when the server does not follow.
func (l *line) reply(command string) (reply []string, err error) {
	for len(reply) < maxLines {
		text, err := l.read()
		if err != nil {
			return reply, err
		}
		reply = append(reply, text)
		if l.ends(command, reply) {
			return reply, l.judge(command, reply)
		}
	}
	return reply, fmt.Errorf("the server's reply has more than %d lines", maxLines)
}

func (l *line) judge(command string, reply []string) error {
	if !l.refuses(reply) {
		return nil
	}
	return &refusal{command, reply}
}

// verb is the word that names a command, without the tag of IMAP.
func verb(command string) string {
	words := strings.Fields(strings.TrimLeft(command, imapTag+" "))
	return words[0]
}

func (l *line) read() (string, error) {
	text, err := l.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("the server says a line of more than %d bytes", maxLine)
	}
	if err != nil {
		return "", unexpected(err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

// unexpected names the end of a connection in the middle of a conversation.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the server closed the connection")
	}
	return err
}
