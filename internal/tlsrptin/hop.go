package tlsrptin

import (
	"io"
	"time"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// Hop returns next with the intake before it. What is for a report address is copied
// while it streams to next, and the copy is read once next has taken the message: the
// reply is next's. With [Settings].Only next does not see it, and the reply is 250 when
// the report is safe on disk.
func (i *Intake) Hop(next nexthop.Hop) nexthop.Hop {
	if len(i.addresses) == 0 {
		return next
	}
	return hop{next, i}
}

type hop struct {
	nexthop.Hop
	intake *Intake
}

// Open is of [nexthop.Hop].
func (h hop) Open(sender nexthop.Sender) nexthop.Session {
	return &session{Session: h.Hop.Open(sender), intake: h.intake, sender: sender}
}

// A session is next's, but for mail to report addresses.
type session struct {
	nexthop.Session
	intake  *Intake
	sender  nexthop.Sender
	reports int // recipients of this message that are report addresses
	others  int
}

// Mail is of [nexthop.Session].
func (s *session) Mail(mail smtp.Mail) nexthop.Answer {
	s.reports, s.others = 0, 0
	return s.Session.Mail(mail)
}

// apart is the reply to a recipient that cannot share a message with those before: the
// sender brings it again by itself (RFC 5321, Section 4.5.3.1.10).
var apart = smtp.NewReply(452, "4.5.3", "reports come in a message of their own, send this recipient another")

// Rcpt is of [nexthop.Session].
func (s *session) Rcpt(rcpt smtp.Recipient) nexthop.Answer {
	count := &s.others
	if s.intake.addresses[smtp.FoldMailbox(rcpt.To)] {
		count = &s.reports
	}
	if s.intake.only {
		switch {
		case count == &s.reports && s.others > 0, count == &s.others && s.reports > 0:
			return answer(apart)
		case count == &s.reports:
			s.reports++
			return answer(smtp.NewReply(250, "2.1.5", "reports are taken here"))
		}
	}
	*count++
	passed := s.Session.Rcpt(rcpt)
	return func() smtp.Reply {
		reply := passed()
		if !reply.Positive() {
			*count--
		}
		return reply
	}
}

func answer(reply smtp.Reply) nexthop.Answer { return func() smtp.Reply { return reply } }

// alone reports whether the message at hand is the intake's alone.
func (s *session) alone() bool { return s.intake.only && s.reports > 0 }

// Data is of [nexthop.Session].
func (s *session) Data() nexthop.Answer {
	if s.alone() {
		return answer(smtp.Reply{Code: 354, Lines: []string{"send the report"}})
	}
	return s.Session.Data()
}

// Send is of [nexthop.Session].
func (s *session) Send(text io.Reader) smtp.Reply {
	if s.reports == 0 {
		return s.Session.Send(text)
	}
	copied := &copying{from: text, to: &held{room: s.intake.room}}
	a := arrival{copied.to, s.sender.SessionID, s.sender.Addr.Addr(), time.Now()}
	if s.alone() {
		s.Session.Reset()
		defer a.free()
		return s.intake.now(copied, a)
	}
	reply := s.Session.Send(copied)
	switch {
	case !reply.Positive() || !copied.whole:
		a.free()
	case a.lost != nil:
		s.intake.refused(a, a.lost)
	default:
		s.intake.later(a)
	}
	return reply
}

// A copying reader keeps what is read of it.
type copying struct {
	from  io.Reader
	to    *held
	whole bool // all has been read
}

// Read is of [io.Reader].
func (c *copying) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.to.Write(p[:n])
	c.whole = c.whole || err == io.EOF
	return n, err
}
