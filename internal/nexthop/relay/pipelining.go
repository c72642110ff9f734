package relay

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// maxGroup bounds the commands that are pipelined at once. A server that
// answers while it reads would otherwise stop reading when its replies fill the
// way back, and both sides would wait (RFC 2920, Section 3.1).
const maxGroup = 16 << 10

// A command was given to a session and waits for its reply.
type command struct {
	at    step
	line  lineMaker
	sent  bool
	done  bool
	reply smtp.Reply
}

// A lineMaker writes a command as suits the connection, or refuses to.
type lineMaker func(*conn) ([]byte, *smtp.Reply)

func fixedLine(line string) lineMaker {
	return func(*conn) ([]byte, *smtp.Reply) { return []byte(line), nil }
}

func (c *command) settle(reply smtp.Reply) { c.reply, c.done = reply, true }

// may reports whether the command can have such a reply.
func (c *command) may(reply smtp.Reply) bool {
	switch {
	case c.at == stepReset:
		return reply.Positive() || reply.Code == 421
	case c.at == stepData && !reply.Transient() && !reply.Permanent():
		return reply.Code == 354
	}
	return !reply.Intermediate()
}

// give queues a command. Nothing is sent before its reply is asked for.
func (s *session) give(at step, line lineMaker) nexthop.Answer {
	c := &command{at: at, line: line}
	s.queue = append(s.queue, c)
	return func() smtp.Reply {
		for slices.Contains(s.queue, c) {
			s.exchange()
		}
		return c.reply
	}
}

// exchange brings the first command of the queue a step closer to its reply.
func (s *session) exchange() {
	switch c := s.queue[0]; {
	case c.done:
		s.queue = s.queue[1:]
	case c.sent:
		s.receive(c)
	case s.refused != nil:
		c.settle(*s.refused)
	case s.conn == nil:
		s.connect()
	default:
		s.transmit()
	}
}

func (s *session) connect() {
	c, trouble := s.hop.connect(context.Background(), &s.sender)
	if trouble != nil {
		s.fail(trouble.at, trouble.err)
		return
	}
	s.conn = c
}

// transmit sends the queue's commands in one write: all of them if the server
// offers PIPELINING, else the first. None of them has been sent.
func (s *session) transmit() {
	group := s.group()
	if len(group) == 0 {
		return
	}
	s.conn.within(s.hop.config.Timeouts.Command)
	if err := s.conn.say(group); err != nil {
		s.broken(s.queue[0], err)
	}
}

// group takes the commands that leave together, and answers those that cannot
// leave at all.
func (s *session) group() []byte {
	var group []byte
	for _, c := range s.queue {
		if c.done {
			continue
		}
		line, refusal := c.line(s.conn)
		if refusal == nil && bytes.ContainsAny(line[:len(line)-2], "\r\n\x00") {
			reply := smtp.NewReply(501, "5.5.2", "line break in command")
			refusal = &reply
		}
		if refusal != nil {
			c.settle(*refusal)
			if c.at == stepMail {
				s.refused = refusal
				break
			}
			continue
		}
		if len(group) > 0 && len(group)+len(line) > maxGroup {
			break
		}
		group = append(group, line...)
		c.sent = true
		if !s.conn.caps.Has("PIPELINING") {
			break
		}
	}
	return group
}

// receive reads the reply to c, the first command that was sent.
func (s *session) receive(c *command) {
	s.conn.within(s.hop.config.Timeouts.Command)
	reply, err := s.conn.hear()
	if err == nil && !c.may(reply) {
		err = fmt.Errorf("%w: %s", errTurn, reply)
	}
	switch {
	case err != nil:
		s.broken(c, err)
	case reply.Code == 421 && s.stale(c):
		s.reopen()
	case reply.Code == 421:
		c.settle(reply)
		s.end(reply)
	default:
		c.settle(reply)
		s.took(c, reply)
	}
}

// took notes what a reply changes.
func (s *session) took(c *command, reply smtp.Reply) {
	switch c.at {
	case stepReset:
		s.conn.open = false
	case stepMail:
		s.conn.used = true
		s.conn.open = reply.Positive()
		if !reply.Positive() {
			s.refused = &reply
		}
	case stepData:
		s.tookData(c, reply)
	}
}

// tookData notes whether the server waits for the text.
func (s *session) tookData(c *command, reply smtp.Reply) {
	switch {
	case !reply.Intermediate():
	case len(s.taken) == 0:
		// A server may say 354 all the same. RFC 2920, Section 3.1, has us send an
		// empty text then: but no server can take that for a message if we leave.
		c.settle(noRecipient)
		s.end(noRecipient)
	case s.conn.in.Buffered() > 0:
		c.settle(s.fail(c.at, errTurn))
	default:
		s.text = true
	}
}

// broken ends the message, unless nothing of it can have been taken and a new
// connection may help.
func (s *session) broken(c *command, err error) {
	if s.stale(c) && isLost(err) {
		s.reopen()
		return
	}
	s.fail(c.at, err)
}

// stale reports whether the server may have closed the connection between two
// messages: c is the first command of this one.
func (s *session) stale(c *command) bool {
	return s.conn.used && (c.at == stepReset || c.at == stepMail)
}

// reopen begins the message again on a new connection. That one is not used
// yet, so this happens once.
func (s *session) reopen() {
	s.drop()
	for _, c := range s.queue {
		c.sent = false
		if c.at == stepReset {
			c.settle(smtp.Reply{})
		}
	}
}
