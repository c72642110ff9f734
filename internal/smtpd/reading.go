package smtpd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"postern/internal/smtp"
)

// mayCommand counts a command.
func (s *session) mayCommand() bool {
	s.commands++
	return s.commands <= s.setup.Limits.Commands*(s.messages+1)
}

// readCommand reads a line, without its CRLF. Replies that wait leave first,
// unless the sender has pipelined a command already (RFC 2920).
func (s *session) readCommand() ([]byte, error) {
	if here, _ := s.in.Peek(s.in.Buffered()); bytes.IndexByte(here, '\n') < 0 {
		s.settle()
		s.flush()
		if s.end != "" {
			return nil, io.EOF
		}
	}
	s.await()
	defer s.idle.Store(false)
	line, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(line) > s.setup.Limits.CommandLine {
		return nil, errLongCommand
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, errBareLF
	}
	return line[:len(line)-2], nil
}

// await sets the deadline for a command. While the server drains, no further
// command is waited for outside of a message.
func (s *session) await() {
	s.idle.Store(s.phase == betweenMessages)
	s.paced.start(s.setup.Limits.CommandTimeout, 0)
	if s.draining.Load() && s.idle.Load() {
		s.conn.SetReadDeadline(longAgo)
	}
}

// longAgo as a deadline ends a Read that waits.
var longAgo = time.Unix(1, 0)

// drain makes the session end where no message suffers. It is called from
// another goroutine.
func (s *session) drain() {
	s.draining.Store(true)
	if s.idle.Load() {
		s.raw.SetReadDeadline(longAgo)
	}
}

var (
	errLongCommand = errors.New("smtpd: command line too long")
	errBareLF      = errors.New("smtpd: command line ends in LF without CR")
)

// cannotRead ends the session when no command could be read.
func (s *session) cannotRead(err error) {
	s.settle()
	switch {
	case s.end != "":
	case errors.Is(err, errLongCommand):
		s.hangUp(smtp.NewReply(500, "5.5.2", fmt.Sprintf("command line longer than %d bytes", s.setup.Limits.CommandLine)), "command too long")
	case errors.Is(err, errManyChunks):
		s.hangUp(smtp.NewReply(421, "4.7.0", "too many chunks"), "too many commands")
	case errors.Is(err, errBareLF):
		s.hangUp(smtp.NewReply(500, "5.5.2", "command line must end in CRLF, not in LF alone"), "bare LF in command")
	case errors.Is(err, os.ErrDeadlineExceeded) && s.draining.Load():
		s.hangUp(smtp.NewReply(421, "4.3.2", "server shuts down, come back soon"), "drained")
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.hangUp(smtp.NewReply(421, "4.4.2", "no command in time"), "timeout")
	case errors.Is(err, io.EOF):
		s.end = "closed by sender"
	default:
		s.end, s.err = "connection lost", err
	}
}
