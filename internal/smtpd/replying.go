package smtpd

import (
	"bufio"
	"errors"
	"fmt"
	"sync"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// writers are lent to sessions that have something to say.
var writers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, bufferSize) }}

// A pendingReply is one that pipelined commands wait for. took, if set, is
// told of it.
type pendingReply struct {
	answer nexthop.Answer
	took   func(smtp.Reply)
}

// hangUp ends the session with a last reply.
func (s *session) hangUp(reply smtp.Reply, end string) {
	s.settle()
	if s.end == "" {
		s.reply(reply)
		s.end = end
	}
}

// reply answers behind all that waits.
func (s *session) reply(reply smtp.Reply) {
	s.settle()
	s.put(reply)
}

// put writes a reply. A sender that is refused too often has to go.
func (s *session) put(reply smtp.Reply) {
	if s.end != "" {
		return
	}
	s.write(reply)
	if reply.Permanent() {
		s.errors++
	}
	if reply.Code == 421 { // RFC 5321, Section 3.8: the connection closes now
		s.end = reply.String()
	}
	if s.errors > s.setup.Limits.Errors {
		s.write(smtp.NewReply(421, "4.7.0", "too many errors"))
		s.end = "too many errors"
	}
}

func (s *session) write(reply smtp.Reply) {
	if s.out == nil {
		s.out = writers.Get().(*bufio.Writer)
		s.out.Reset(&s.paced)
	}
	s.out.Write(reply.Append(s.out.AvailableBuffer()))
}

// later notes a reply of the next hop's that need not be waited for yet.
func (s *session) later(answer nexthop.Answer, took func(smtp.Reply)) {
	s.pending = append(s.pending, pendingReply{answer, took})
	if len(s.pending) >= s.setup.Limits.Recipients {
		s.settle()
	}
}

// settle waits for the replies that are pending and writes them.
func (s *session) settle() {
	pending := s.pending
	s.pending = nil
	for _, p := range pending {
		reply := p.answer().Enhance()
		p.took(reply)
		s.put(reply)
	}
}

// flush sends the replies written so far.
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

// refuse replies to an error that carries its reply.
func (s *session) refuse(err error) {
	var refusal *smtp.Refusal
	if errors.As(err, &refusal) {
		s.reply(refusal.Reply)
		return
	}
	s.reply(smtp.NewReply(451, "4.3.0", "server trouble, try again later"))
	s.err = err
}

// tooMany turns a sender away for now.
func (s *session) tooMany(things string) smtp.Reply {
	return smtp.NewReply(421, "4.7.0", fmt.Sprintf("%s too many %s from your network %s, try again later (id %s)",
		s.setup.Hostname, things, s.network, s.id))
}
