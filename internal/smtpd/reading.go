package smtpd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"postern/internal/smtp"
	"postern/internal/tlsrecord"
)

// countCommand counts a command and reports whether the limit allows it.
func (s *session) countCommand() bool {
	s.commands++
	return s.commands <= s.setup.Limits.Commands*(s.messages+1)
}

// readCommand reads a command line without its CRLF. It sends the waiting replies first,
// unless the sender has pipelined another command (RFC 2920).
func (s *session) readCommand() ([]byte, error) {
	buffered, _ := s.in.Peek(s.in.Buffered())
	pipelined := bytes.IndexByte(buffered, '\n') >= 0
	if !pipelined {
		s.writePending()
		s.flush()
	}
	if s.end != "" {
		return nil, io.EOF
	}
	if !pipelined {
		s.await()
		defer s.awaited(time.Now())
	}
	if err := s.awaitInput(); err != nil {
		return nil, err
	}
	if first, err := s.in.Peek(1); err == nil && s.tls == nil && first[0] == tlsrecord.Handshake {
		return nil, errTLSTooEarly // at once: its line end may never come
	}
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

// await sets the deadline for a command: within a message, for all its commands together,
// since it has a connection to the next hop. While the server drains, the deadline has
// passed already outside of a message.
func (s *session) await() {
	s.idle.Store(!s.inMessage)
	s.timed.start(s.setup.Limits.CommandTimeout - s.spent)
	s.interrupt()
}

// awaited ends await, which began at a time.
func (s *session) awaited(since time.Time) {
	s.idle.Store(false)
	if s.inMessage {
		s.spent += time.Since(since)
	}
}

// longAgo as a deadline interrupts a Read.
var longAgo = time.Unix(1, 0)

// drain makes the session end after its current message. It is called from another
// goroutine.
func (s *session) drain() {
	s.draining.Store(true)
	s.interrupt()
}

// interrupt ends the wait of an idle session while the server drains. It is called when either
// begins.
func (s *session) interrupt() {
	if s.draining.Load() && s.idle.Load() {
		s.raw.SetReadDeadline(longAgo)
	}
}

var (
	errLongCommand = errors.New("smtpd: command line too long")
	errTLSTooEarly = errors.New("smtpd: TLS without STARTTLS")
	errBareLF      = errors.New("smtpd: command line ends in LF without CR")
)

// readFailed ends the session after an error of readCommand.
func (s *session) readFailed(err error) {
	s.command = command{} // what follows is no reply to one
	if errors.Is(err, errLongCommand) || errors.Is(err, errBareLF) || errors.Is(err, errManyChunks) {
		s.command.verb = unknownVerb
	}
	switch {
	case s.end != "":
	case errors.Is(err, errLongCommand):
		s.hangUp(smtp.NewReply(500, "5.5.2", fmt.Sprintf("command line longer than %d bytes", s.setup.Limits.CommandLine)), "command too long")
	case errors.Is(err, errManyChunks):
		s.hangUp(smtp.NewReply(421, "4.7.0", "too many chunks"), "too many commands")
	case errors.Is(err, errBareLF):
		s.hangUp(smtp.NewReply(500, "5.5.2", "command line must end in CRLF, not LF"), "bare LF in command")
	case errors.Is(err, os.ErrDeadlineExceeded) && s.draining.Load():
		s.leave(shuttingDown, "drained")
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.leave(smtp.NewReply(421, "4.4.2", "timeout waiting for command"), "timeout")
	case errors.Is(err, errTLSTooEarly):
		s.hangUp(smtp.NewReply(500, "5.5.1", "TLS starts after EHLO and STARTTLS on this port"), "TLS without STARTTLS")
	case errors.Is(err, io.EOF):
		s.record.Fail(io.EOF) // with TLS a close_notify, or the end that the recording has
		s.end = "closed by sender"
	case s.tls != nil && isRenegotiation(err):
		s.end, s.err = "renegotiation refused", err
	default:
		s.record.Fail(err)
		s.end, s.err = "connection lost", err
	}
}

// isRenegotiation reports whether an error of crypto/tls means that a client of TLS 1.2 asked
// for another handshake (RFC 5246, Section 7.4.1.2), which crypto/tls refuses as a server. It
// has no type for that error.
func isRenegotiation(err error) bool {
	return strings.Contains(err.Error(), "unexpected handshake message of type *tls.clientHelloMsg")
}
