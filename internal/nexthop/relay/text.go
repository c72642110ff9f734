package relay

import (
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"postern/internal/logkey"
	"postern/internal/smtp"
)

// textPause is how long text may wait for more to leave with it. A sender that
// dribbles must not let the server's patience run out.
const textPause = 30 * time.Second

// lastWords is how long to wait for what a server said when it stopped
// reading.
const lastWords = time.Second

// textBuffers hold what is read, and what is written with dots.
var textBuffers = sync.Pool{New: func() any { return new([2][smtp.DotBufferSize]byte) }}

// A brokenError is the sender's: its text did not come to an end.
type brokenError struct{ err error }

func (e *brokenError) Error() string { return "text broken off: " + e.err.Error() }

func (e *brokenError) Unwrap() error { return e.err }

// sendText sends all of r and the line that ends it. If r fails, that line is
// not sent and the error is a brokenError.
func (c *conn) sendText(r io.Reader, patience time.Duration) error {
	buffers := textBuffers.Get().(*[2][smtp.DotBufferSize]byte)
	defer textBuffers.Put(buffers)
	out := &pacedWriter{conn: c, patience: patience, last: time.Now()}
	dots := smtp.NewDotWriter(out, buffers[1][:])
	for {
		n, err := r.Read(buffers[0][:])
		if _, err := dots.Write(buffers[0][:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return dots.Close()
		}
		if err != nil {
			return &brokenError{err}
		}
		if time.Since(out.last) > textPause {
			dots.Flush() // its error comes with the next Write
		}
	}
}

// A pacedWriter gives each write its own deadline.
type pacedWriter struct {
	conn     net.Conn
	patience time.Duration
	last     time.Time
}

// Write writes p to the connection.
func (w *pacedWriter) Write(p []byte) (int, error) {
	w.last = time.Now()
	w.conn.SetWriteDeadline(w.last.Add(w.patience))
	return w.conn.Write(p)
}

// verdict is the reply to a text that was sent with err.
func (s *session) verdict(err error) smtp.Reply {
	switch err.(type) {
	case nil:
	case *brokenError:
		reply := smtp.NewReply(451, "4.4.2", "message broken off")
		s.end(reply)
		return reply
	default:
		return s.interrupted(err)
	}
	s.conn.within(s.hop.config.Timeouts.DataTermination)
	replies, err := s.hearEnd()
	if err != nil {
		return s.fail(stepEnd, err)
	}
	reply := s.verdictOf(replies)
	if s.conn.in.Buffered() > 0 || slices.ContainsFunc(replies, isGoodbye) {
		s.drop()
	}
	return reply
}

func isGoodbye(reply smtp.Reply) bool { return reply.Code == 421 }

// hearEnd reads the replies to the text's end: one, or with LMTP one for each
// recipient (RFC 2033, Section 4.2).
func (s *session) hearEnd() ([]smtp.Reply, error) {
	count := 1
	if s.hop.config.LMTP {
		count = len(s.taken)
	}
	replies := make([]smtp.Reply, 0, count)
	for range count {
		reply, err := s.conn.hear()
		if err == nil && reply.Intermediate() {
			err = errTurn
		}
		if err != nil {
			if len(replies) > 0 {
				s.logFates(replies)
			}
			return nil, err
		}
		replies = append(replies, reply)
	}
	return replies, nil
}

// interrupted is the reply when the server stopped reading the text: a refusal
// of its own if it gave one, such as 552 or 421.
func (s *session) interrupted(err error) smtp.Reply {
	if isLost(err) {
		s.conn.within(lastWords)
		reply, unheard := s.conn.hear()
		passes := reply.Transient() || reply.Permanent() && !s.hop.config.LMTP
		if unheard == nil && passes {
			s.end(reply)
			return reply
		}
	}
	return s.fail(stepText, err)
}

// logFates tells what became of the recipients that the server has answered
// for.
func (s *session) logFates(replies []smtp.Reply) {
	fates := make([]string, len(replies))
	for i, reply := range replies {
		fates[i] = fate(s.taken[i], reply)
	}
	s.log(slog.LevelWarn, "recipients fared differently", slog.Any(logkey.Recipients, fates))
}
