package relay

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// maxBatch bounds the commands that are pipelined at once, in bytes. A server
// that replies while it reads would otherwise stop reading once its replies fill
// the send buffers, and both sides would wait (RFC 2920, Section 3.1).
const maxBatch = 16 << 10

// usualBatch is enough for MAIL, RCPT and DATA of most messages.
const usualBatch = 256

// A command waits in a session's queue for its reply.
type command struct {
	at    step
	line  lineFunc
	sent  bool
	done  bool
	reply smtp.Reply
}

// A lineFunc appends the command to b as c supports it, or returns a refusal.
type lineFunc func(b []byte, c *conn) ([]byte, *smtp.Reply)

func fixedLine(line string) lineFunc {
	return func(b []byte, _ *conn) ([]byte, *smtp.Reply) { return append(b, line...), nil }
}

func (c *command) finish(reply smtp.Reply) { c.reply, c.done = reply, true }

// allows reports whether the command can have such a reply.
func (c *command) allows(reply smtp.Reply) bool {
	switch {
	case c.at == stepReset:
		return reply.Positive() || reply.Code == 421
	case c.at == stepData && !reply.Transient() && !reply.Permanent():
		return reply.Code == 354
	}
	return !reply.Intermediate()
}

// enqueue adds a command to the queue. Nothing is sent before the first Answer
// is called.
func (s *session) enqueue(at step, line lineFunc) nexthop.Answer {
	c := &command{at: at, line: line}
	s.queue = append(s.queue, c)
	return func() smtp.Reply {
		for slices.Contains(s.queue, c) {
			s.advance()
		}
		return c.reply
	}
}

// advance brings the first command of the queue one step closer to its reply.
func (s *session) advance() {
	switch c := s.queue[0]; {
	case c.done:
		s.queue = slices.Delete(s.queue, 0, 1) // which keeps its room for the next message
		if len(s.queue) == 0 && s.refusal != nil {
			s.rest() // there is no message
		}
	case c.sent:
		s.readReply(c)
	case s.refusal != nil:
		c.finish(*s.refusal)
	case !s.slot:
		s.begin()
	case s.conn == nil:
		s.connect()
	default:
		s.send()
	}
}

func (s *session) connect() {
	c, err := s.hop.connect(context.Background(), &s.sender)
	if err != nil {
		s.fail(err.at, err.err)
		return
	}
	s.conn = c
}

// send sends commands of the queue in one write: all of them if the server
// offers PIPELINING, otherwise the first. None of the queue has been sent.
func (s *session) send() {
	batch := s.batch()
	if len(batch) == 0 {
		return
	}
	s.conn.sent = time.Now()
	s.conn.SetWriteDeadline(s.conn.sent.Add(s.hop.config.Timeouts.Command))
	if err := s.conn.write(batch); err != nil {
		s.connectionFailed(s.queue[0], err)
	}
}

// batch returns the commands to send together, and finishes those that cannot be
// sent at all.
func (s *session) batch() []byte {
	batch := make([]byte, 0, usualBatch)
	for _, c := range s.queue {
		longer, refusal := c.line(batch, s.conn)
		if refusal == nil && bytes.ContainsAny(longer[len(batch):len(longer)-2], "\r\n\x00") {
			reply := smtp.NewReply(501, "5.5.2", "line break in command")
			refusal = &reply
		}
		if refusal != nil {
			c.finish(*refusal)
			if c.at == stepMail {
				s.refusal = refusal
				break
			}
			continue
		}
		if len(batch) > 0 && len(longer) > maxBatch {
			break
		}
		batch = longer
		c.sent = true
		if !s.conn.caps.Has("PIPELINING") {
			break
		}
	}
	return batch
}

// readReply reads the reply to c, the first command that was sent.
func (s *session) readReply(c *command) {
	if s.conn.in.Buffered() == 0 { // otherwise the deadline of the reply before is recent
		s.conn.setTimeout(s.hop.config.Timeouts.Command)
	}
	reply, err := s.conn.readReply()
	if err == nil && !c.allows(reply) {
		err = fmt.Errorf("%w: %s", errUnexpectedReply, reply.Clip())
	}
	switch {
	case err != nil:
		s.connectionFailed(c, err)
	case reply.Code == 421 && s.mayBeStale(c):
		s.restart()
	case reply.Code == 421:
		c.finish(reply)
		s.end(reply)
	default:
		s.hop.took(c.at, s.conn.sent)
		c.finish(reply)
		s.apply(c)
	}
}

// apply notes what the reply to c changes.
func (s *session) apply(c *command) {
	switch c.at {
	case stepReset:
		s.conn.open = false
	case stepMail:
		s.conn.used = true
		s.conn.open = c.reply.Positive()
		if !c.reply.Positive() {
			s.refusal = &c.reply
		}
	case stepData:
		s.applyData(c)
	}
}

// applyData notes whether the server waits for the text.
func (s *session) applyData(c *command) {
	switch {
	case !c.reply.Intermediate():
	case s.refusal != nil || len(s.accepted) == 0:
		// A server may reply 354 all the same. RFC 2920, Section 3.1, says to send an
		// empty text then, but no server can take that for a message if we disconnect.
		refusal := noRecipient
		if s.refusal != nil {
			refusal = *s.refusal
		}
		c.finish(refusal)
		s.end(refusal)
	case s.conn.in.Buffered() > 0:
		c.finish(s.fail(c.at, errUnexpectedReply))
	default:
		s.awaitsText = true
	}
}

// connectionFailed ends the message, unless the server may have closed the
// connection before it saw anything of the message.
func (s *session) connectionFailed(c *command, err error) {
	if s.mayBeStale(c) && isClosed(err) {
		s.restart()
		return
	}
	s.fail(c.at, err)
}

// mayBeStale reports whether the server may have closed the connection between
// two messages: c is the first command of this one.
func (s *session) mayBeStale(c *command) bool {
	return s.conn.used && (c.at == stepReset || c.at == stepMail)
}

// restart begins the message again on a new connection. That one is not used
// yet, so this happens once.
func (s *session) restart() {
	if s.conn != nil {
		s.conn.abort()
		s.conn = nil
	}
	for _, c := range s.queue {
		c.sent = false
		if c.at == stepReset {
			c.finish(smtp.Reply{})
		}
	}
}
