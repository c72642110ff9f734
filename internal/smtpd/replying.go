package smtpd

import (
	"bufio"
	"errors"
	"fmt"
	"sync"

	"postern/internal/admission"
	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// shuttingDown is the reply to a sender when the server stops.
var shuttingDown = smtp.NewReply(421, "4.3.2", "server shutting down, try again later")

// writers are used by sessions while they have replies to send.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }}

// A pendingReply is a reply of the next hop that has not been waited for.
type pendingReply struct {
	command command
	answer  nexthop.Answer
	then    func(smtp.Reply) // called before the reply is written
}

// hangUp replies and ends the session. The sender may be sending something.
func (s *session) hangUp(reply smtp.Reply, end string) {
	s.leave(reply, end)
	s.hungUp = true
}

// leave is hangUp where the sender is silent.
func (s *session) leave(reply smtp.Reply, end string) {
	s.writePending()
	if s.end == "" {
		s.reply(reply)
		s.end = end
	}
}

// reply writes the pending replies, then this one.
func (s *session) reply(reply smtp.Reply) {
	s.writePending()
	s.put(s.command, reply)
}

// put writes the reply to c and counts errors. Too many end the session.
func (s *session) put(c command, reply smtp.Reply) {
	if s.end != "" {
		return
	}
	s.write(reply)
	s.noteReply(c, reply)
	if reply.Permanent() {
		s.errors++
	}
	if reply.Code == 421 { // RFC 5321, Section 3.8: the connection closes now
		s.end, s.hungUp = reply.String(), true
	}
	if s.errors > s.setup.Limits.Errors {
		s.write(smtp.NewReply(421, "4.7.0", "too many errors"))
		s.end, s.hungUp = "too many errors", true
	}
}

func (s *session) write(reply smtp.Reply) {
	if s.out == nil {
		s.out = writers.Get().(*bufio.Writer)
		s.out.Reset(&s.timed)
	}
	s.out.Write(reply.Append(s.out.AvailableBuffer()))
}

// replyLater adds a pending reply. There are no more of them than one for MAIL and those of the
// recipients that a message may have: all other commands wait for them.
func (s *session) replyLater(answer nexthop.Answer, then func(smtp.Reply)) {
	s.pending = append(s.pending, pendingReply{s.command, answer, then})
}

// writePending waits for the pending replies and writes them.
func (s *session) writePending() {
	pending := s.pending
	s.pending = nil
	for _, p := range pending {
		reply := passOn(p.answer())
		p.then(reply)
		s.put(p.command, reply)
	}
}

// passOn returns a reply of the next hop as the sender gets it.
func passOn(reply smtp.Reply) smtp.Reply { return reply.Enhance().Clip() }

// flush sends the replies that were written.
func (s *session) flush() {
	if s.out == nil {
		return
	}
	if err := s.out.Flush(); err != nil && s.end == "" {
		s.end, s.err = "connection lost", err
	}
	s.out.Reset(nil)
	writers.Put(s.out)
	s.out = nil
}

// refuse replies to a command that package smtp refuses, with a [smtp.Refusal].
func (s *session) refuse(err error) {
	var refusal *smtp.Refusal
	errors.As(err, &refusal)
	s.reply(refusal.Reply)
}

// overLimit notes the limit that a sender has reached, and returns the reply. It says whose
// limit that is: only its own is the sender's to change.
func (s *session) overLimit(code int, over *admission.Reached, what string) smtp.Reply {
	s.limit = over
	if over.Total() {
		return smtp.NewReply(code, "4.3.2", fmt.Sprintf("%s server at its limit, %s, try again later (id %s)",
			s.setup.Hostname, what, s.id))
	}
	return smtp.NewReply(code, "4.7.0", fmt.Sprintf("%s %s from %s, try again later (id %s)",
		s.setup.Hostname, what, over.From(), s.id))
}
