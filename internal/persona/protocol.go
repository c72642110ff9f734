package persona

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A language is what a client says to reach TLS, and how it reads the answers.
type language struct {
	hello, start, quit string // commands without their ends
	harmless           string // one that changes nothing

	// ends reports whether the last of lines ends the reply to command, which is
	// empty for the greeting.
	ends func(command string, lines []string) bool

	// refuses reports whether a reply is a refusal.
	refuses func(reply []string) bool

	// late reports whether a reply to quit is one to an earlier command.
	late func(reply []string) bool
}

// imapTag are the characters of the tags below (RFC 9051, Section 2.2.1).
const imapTag = "p0123"

// language returns that of p for a client that calls itself name.
func (p Protocol) language(name string) language {
	switch p {
	case IMAP, IMAPS:
		return language{"p1 CAPABILITY", "p2 STARTTLS", "p3 LOGOUT", "p0 NOOP", endsIMAP, refusesIMAP, lateIMAP}
	case POP3, POP3S:
		return language{"CAPA", "STLS", "QUIT", "CAPA", endsPOP3, refusesPOP3, latePOP3}
	}
	return language{"EHLO " + name, "STARTTLS", "QUIT", "NOOP", endsSMTP, refusesSMTP, lateSMTP}
}

// offersTLS reports whether a reply to hello has the keyword of start. It has not where
// a firewall masks it.
func (l language) offersTLS(reply []string) bool {
	keyword := l.start[strings.LastIndexByte(l.start, ' ')+1:]
	return slices.ContainsFunc(reply, func(line string) bool {
		return slices.Contains(strings.FieldsFunc(strings.ToUpper(line), endsWord), keyword)
	})
}

func endsWord(r rune) bool { return r == ' ' || r == '-' || r == '[' || r == ']' }

// endsSMTP is RFC 5321, Section 4.2.1.
func endsSMTP(_ string, lines []string) bool {
	line := lines[len(lines)-1]
	return len(line) < 4 || line[3] != '-'
}

func refusesSMTP(reply []string) bool {
	last := reply[len(reply)-1]
	return !strings.HasPrefix(last, "2") && !strings.HasPrefix(last, "3")
}

func lateSMTP(reply []string) bool { return strings.HasPrefix(reply[0], "250") }

// endsIMAP takes each tagged line for an end, whatever it answers (RFC 9051, Section 2.2.2).
func endsIMAP(command string, lines []string) bool {
	return command == "" || !strings.HasPrefix(lines[len(lines)-1], "* ")
}

func refusesIMAP(reply []string) bool {
	_, status, _ := strings.Cut(reply[len(reply)-1], " ")
	return !strings.HasPrefix(strings.ToUpper(status), "OK")
}

func lateIMAP(reply []string) bool { return !strings.HasPrefix(reply[len(reply)-1], "p3 ") }

// endsPOP3 is RFC 1939, Section 3: of our commands CAPA alone has a reply of several
// lines (RFC 2449, Section 5).
func endsPOP3(command string, lines []string) bool {
	return command != "CAPA" || refusesPOP3(lines) || lines[len(lines)-1] == "."
}

func refusesPOP3(reply []string) bool { return !strings.HasPrefix(reply[0], "+OK") }

// latePOP3 cannot tell: the first line to CAPA and to QUIT may be the same. The rest of
// CAPA's is waiting then.
func latePOP3([]string) bool { return false }

const (
	// maxLine bounds a line that the server says, in bytes. RFC 5321, Section
	// 4.5.3.1.5 allows 512; the rest is for servers that do not count.
	maxLine = 2048

	// maxLines bounds a reply. The longest greetings and EHLO replies have about 20.
	maxLines = 100
)

// A textConn is a connection on which commands and replies go to and fro.
type textConn struct {
	language
	in  *bufio.Reader
	out io.Writer
}

func newTextConn(l language, conn io.ReadWriter) *textConn {
	return &textConn{l, bufio.NewReaderSize(conn, maxLine), conn}
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
func (l *textConn) ask(command string) (reply []string, err error) {
	if err := l.say(command); err != nil {
		return nil, err
	}
	return l.reply(verb(command))
}

// say says a command. Lines that come behind it are sent in the same write.
func (l *textConn) say(command string) error {
	_, err := io.WriteString(l.out, command+"\r\n")
	return err
}

// listen begins to read ahead, and returns when something has come or after a pause.
// Until heard is closed nobody else may read.
func (l *textConn) listen(pause time.Duration) (heard <-chan struct{}) {
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
func (l *textConn) reply(command string) (reply []string, err error) {
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

func (l *textConn) judge(command string, reply []string) error {
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

func (l *textConn) read() (string, error) {
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
