package relay

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"postern/internal/smtp"
)

// flushInterval is how long text stays in the buffer while more may come. A
// sender that sends a line a minute must not let the server time out.
const flushInterval = 30 * time.Second

// drainTimeout is how long to wait for the reply of a server that has stopped
// reading.
const drainTimeout = time.Second

// textBuffers are pairs: one to read into, one for the blocks that get dots.
var textBuffers = sync.Pool{New: func() any { return new([2][smtp.DotBufferSize]byte) }}

// A senderError says that the sender's text ended too early or was invalid: the
// server is not at fault.
type senderError struct{ err error }

func (e *senderError) Error() string { return "message incomplete: " + e.err.Error() }

func (e *senderError) Unwrap() error { return e.err }

// sendText sends all of r and the line that ends it. If r fails, that line is not
// sent and the error is a senderError. Nor is it if the server has replied already: it is
// not to deliver what the sender will be told to send again.
func (c *conn) sendText(r io.Reader, timeout time.Duration) error {
	buffers := textBuffers.Get().(*[2][smtp.DotBufferSize]byte)
	defer textBuffers.Put(buffers)
	out := &deadlineWriter{conn: c, timeout: timeout, last: time.Now()}
	dots := smtp.NewDotWriter(out, buffers[0][:])
	for {
		err := dots.ReadBlock(r, buffers[1][:])
		switch {
		case out.err != nil:
			return out.err
		case err == io.EOF && c.hasReply():
			return errEarlyReply
		case err == io.EOF:
			return dots.Close()
		case err != nil:
			return &senderError{err}
		case time.Since(out.last) > flushInterval:
			dots.Flush() // out keeps its error
		}
	}
}

// A deadlineWriter sets a new deadline for each write.
type deadlineWriter struct {
	conn    net.Conn
	timeout time.Duration
	last    time.Time
	err     error
}

// Write writes p to the connection.
func (w *deadlineWriter) Write(p []byte) (int, error) {
	w.last = time.Now()
	w.conn.SetWriteDeadline(w.last.Add(w.timeout))
	n, err := w.conn.Write(p)
	w.err = err
	return n, err
}

// finalReply returns the reply to a text that sendText has sent with err.
func (s *session) finalReply(err error) smtp.Reply {
	switch err.(type) {
	case nil:
	case *senderError:
		reply := smtp.NewReply(451, "4.4.2", "message incomplete")
		s.end(reply)
		return reply
	default:
		return s.earlyReply(err)
	}
	begun := s.conn.setTimeout(s.hop.config.Timeouts.DataTermination)
	replies, err := s.readFinalReplies()
	if err != nil {
		return s.fail(stepEnd, err)
	}
	s.hop.took(stepEnd, begun)
	reply := s.combineReplies(replies)
	if s.conn.in.Buffered() > 0 || slices.ContainsFunc(replies, isClosing) {
		s.abort()
	}
	return reply
}

// isClosing reports whether the server closes the connection after the reply (RFC
// 5321, Section 3.8).
func isClosing(reply smtp.Reply) bool { return reply.Code == 421 }

// readFinalReplies reads the replies to the end of the text: one, or with LMTP one
// for each recipient (RFC 2033, Section 4.2).
func (s *session) readFinalReplies() ([]smtp.Reply, error) {
	count := 1
	if s.hop.config.LMTP {
		count = len(s.accepted)
	}
	replies := make([]smtp.Reply, 0, count)
	for range count {
		reply, err := s.conn.readReply()
		if err == nil && reply.Intermediate() {
			err = errUnexpectedReply
		}
		if err != nil {
			if len(replies) > 0 {
				s.logStatuses(replies)
			}
			return nil, err
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// earlyReply returns the reply when the server has stopped reading the text: its
// own refusal if it sent one, such as 552 or 421.
func (s *session) earlyReply(err error) smtp.Reply {
	if isClosed(err) || errors.Is(err, errEarlyReply) {
		s.conn.setTimeout(drainTimeout)
		reply, err := s.conn.readReply()
		refused := reply.Transient() || reply.Permanent() && !s.hop.config.LMTP
		if err == nil && refused {
			s.end(reply)
			return reply
		}
	}
	return s.fail(stepText, err)
}
