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

// A Protocol is a mail protocol and how it starts TLS.
type Protocol uint8

// The protocols.
const (
	SMTP  Protocol = iota // STARTTLS (RFC 3207)
	SMTPS                 // implicit TLS (RFC 8314, Section 3)
	IMAP                  // STARTTLS (RFC 9051, Section 6.2.1)
	POP3                  // STLS (RFC 2595, Section 4)
	IMAPS                 // implicit TLS (RFC 8314, Section 3)
	POP3S                 // implicit TLS (RFC 8314, Section 3)
)

// Implicit reports whether TLS starts with the connection.
func (p Protocol) Implicit() bool { return p == SMTPS || p == IMAPS || p == POP3S }

// Mail reports whether the protocol transfers mail to a server.
func (p Protocol) Mail() bool { return p == SMTP || p == SMTPS }

// A language is the commands up to TLS and the syntax of their replies.
//
// SMTP has no reader of its own in [postern/internal/smtp] here: that one rejects invalid
// replies and replaces what is not printable, and a probe reports what the server sent.
type language struct {
	hello, start, quit string // commands without line end
	harmless           string // one that changes nothing

	// ends reports whether the last of lines ends the reply to command; the command is empty
	// for the greeting.
	ends func(command string, lines []string) bool

	// refuses reports whether a reply is negative.
	refuses func(reply []string) bool

	// late reports whether what looks like the reply to quit is that of an earlier command.
	late func(reply []string) bool
}

// imapTag has the characters of the tags below (RFC 9051, Section 2.2.1).
const imapTag = "p0123"

// language returns the language of p for a client with this EHLO name.
func (p Protocol) language(name string) language {
	switch p {
	case IMAP, IMAPS:
		return language{"p1 CAPABILITY", "p2 STARTTLS", "p3 LOGOUT", "p0 NOOP", endsIMAP, refusesIMAP, lateIMAP}
	case POP3, POP3S:
		return language{"CAPA", "STLS", "QUIT", "CAPA", endsPOP3, refusesPOP3, latePOP3}
	}
	return language{"EHLO " + name, "STARTTLS", "QUIT", "NOOP", endsSMTP, refusesSMTP, lateSMTP}
}

// offersTLS reports whether a reply to hello has the keyword of start. Some firewalls mask
// it.
func (l language) offersTLS(reply []string) bool {
	keyword := l.start[strings.LastIndexByte(l.start, ' ')+1:]
	return slices.ContainsFunc(reply, func(line string) bool {
		return slices.Contains(strings.FieldsFunc(strings.ToUpper(line), endsWord), keyword)
	})
}

func endsWord(r rune) bool { return r == ' ' || r == '-' || r == '[' || r == ']' }

// endsSMTP follows RFC 5321, Section 4.2.1.
func endsSMTP(_ string, lines []string) bool {
	line := lines[len(lines)-1]
	return len(line) < 4 || line[3] != '-'
}

func refusesSMTP(reply []string) bool {
	last := reply[len(reply)-1]
	return !strings.HasPrefix(last, "2") && !strings.HasPrefix(last, "3")
}

func lateSMTP(reply []string) bool { return strings.HasPrefix(reply[0], "250") }

// endsIMAP accepts any tagged line as the end (RFC 9051, Section 2.2.2).
func endsIMAP(command string, lines []string) bool {
	return command == "" || !strings.HasPrefix(lines[len(lines)-1], "* ")
}

func refusesIMAP(reply []string) bool {
	_, status, _ := strings.Cut(reply[len(reply)-1], " ")
	return !strings.HasPrefix(strings.ToUpper(status), "OK")
}

func lateIMAP(reply []string) bool { return !strings.HasPrefix(reply[len(reply)-1], "p3 ") }

// endsPOP3 follows RFC 1939, Section 3. Of the commands used here only CAPA has a multi-line
// reply (RFC 2449, Section 5).
func endsPOP3(command string, lines []string) bool {
	return command != "CAPA" || refusesPOP3(lines) || lines[len(lines)-1] == "."
}

func refusesPOP3(reply []string) bool { return !strings.HasPrefix(reply[0], "+OK") }

// latePOP3 cannot decide: the replies to CAPA and QUIT may have the same first line. Then
// the rest of CAPA's is still buffered.
func latePOP3([]string) bool { return false }

const (
	// maxLine bounds a line from the server, in bytes. RFC 5321, Section 4.5.3.1.5 allows
	// 512; some servers send more.
	maxLine = 2048

	// maxLines bounds a reply. The longest greetings and EHLO replies have about 20.
	maxLines = 100
)

// A textConn exchanges commands and replies over a connection.
type textConn struct {
	language
	in  *bufio.Reader
	out io.Writer
}

func newTextConn(l language, conn io.ReadWriter) *textConn {
	return &textConn{l, bufio.NewReaderSize(conn, maxLine), conn}
}

// A refusal is a negative reply.
type refusal struct {
	command string // its verb, or "the message"; empty: the greeting
	reply   []string
}

func (r *refusal) Error() string {
	what := "greeted with"
	if r.command != "" {
		what = "answered " + r.command + " with"
	}
	return fmt.Sprintf("the server %s %q", what, r.reply[len(r.reply)-1])
}

// command sends a command and returns the reply.
func (t *textConn) command(command string) (reply []string, err error) {
	if err := t.write(command); err != nil {
		return nil, err
	}
	return t.reply(verb(command))
}

// write sends a line, or lines separated by CRLF in one write.
func (t *textConn) write(lines string) error {
	_, err := io.WriteString(t.out, lines+"\r\n")
	return err
}

// waitForData starts reading ahead and returns when data has arrived or after a delay. Until
// the channel is closed nothing else may read from t.
func (t *textConn) waitForData(delay time.Duration) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = t.in.Peek(1) // the next read returns the error
	}()
	select {
	case <-done:
	case <-time.After(delay):
	}
	return done
}

// reply reads the reply to a command, given by its verb; empty: the greeting. The error is a
// [*refusal] if the reply is negative.
func (t *textConn) reply(verb string) (reply []string, err error) {
	for len(reply) < maxLines {
		line, err := t.readLine()
		if err != nil {
			return reply, err
		}
		reply = append(reply, line)
		if !t.ends(verb, reply) {
			continue
		}
		if t.refuses(reply) {
			return reply, &refusal{verb, reply}
		}
		return reply, nil
	}
	return reply, fmt.Errorf("the server's reply has more than %d lines", maxLines)
}

// verb is the word that names a command, without the tag of IMAP.
func verb(command string) string {
	words := strings.Fields(strings.TrimLeft(command, imapTag+" "))
	return words[0]
}

func (t *textConn) readLine() (string, error) {
	line, err := t.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("the server sent a line of more than %d bytes", maxLine)
	case errors.Is(err, io.EOF):
		return "", errors.New("the server closed the connection")
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(line), "\n"), "\r"), nil
}
