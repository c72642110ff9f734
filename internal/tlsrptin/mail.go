package tlsrptin

import (
	"io"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// Hop returns a next hop that passes mail on to next and receives the reports in it.
//
// A message to a report address is copied while it is sent to next. The reply is that of
// next, and the copy is parsed once next has accepted the message. With [Settings].Only
// the message is not sent to next, and the reply is 250 when the report is on disk.
func (rc *Receiver) Hop(next nexthop.Hop) nexthop.Hop {
	if len(rc.addresses) == 0 {
		return next
	}
	return hop{next, rc}
}

type hop struct {
	nexthop.Hop
	receiver *Receiver
}

// Open implements [nexthop.Hop].
func (h hop) Open(sender nexthop.Sender) nexthop.Session {
	return &session{Session: h.Hop.Open(sender), receiver: h.receiver, sender: sender}
}

// A session is a session with the next hop that intercepts mail to report addresses.
type session struct {
	nexthop.Session
	receiver *Receiver
	sender   nexthop.Sender
	reports  int // recipients of this message that are report addresses
	others   int // other recipients
}

// Mail implements [nexthop.Session].
func (s *session) Mail(mail smtp.Mail) nexthop.Answer {
	s.reports, s.others = 0, 0
	return s.Session.Mail(mail)
}

// separately defers a recipient that cannot share a message with the earlier ones. The
// sender sends it another copy (RFC 5321, Section 4.5.3.1.10).
var separately = smtp.NewReply(452, "4.5.3", "reports need a message of their own, send this recipient another copy")

// Rcpt implements [nexthop.Session].
func (s *session) Rcpt(rcpt smtp.Recipient) nexthop.Answer {
	count := &s.others
	if s.receiver.addresses[smtp.FoldMailbox(rcpt.To)] {
		count = &s.reports
	}
	if s.receiver.only {
		switch {
		case count == &s.reports && s.others > 0, count == &s.others && s.reports > 0:
			return answer(separately)
		case count == &s.reports:
			s.reports++
			return answer(smtp.NewReply(250, "2.1.5", "report address ok"))
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

// onlyReport reports whether the current message is not for the next hop.
func (s *session) onlyReport() bool { return s.receiver.only && s.reports > 0 }

// Data implements [nexthop.Session].
func (s *session) Data() nexthop.Answer {
	if s.onlyReport() {
		return answer(smtp.Reply{Code: 354, Lines: []string{"send the report"}})
	}
	return s.Session.Data()
}

// Send implements [nexthop.Session].
func (s *session) Send(text io.Reader) smtp.Reply {
	if s.reports == 0 {
		return s.Session.Send(text)
	}
	m := s.receiver.newMessage(s.sender)
	copied := &copyReader{from: text, to: m.buffer}
	if s.onlyReport() {
		s.Session.Reset()
		return s.receiver.storeNow(copied, m)
	}
	reply := s.Session.Send(copied)
	if !reply.Positive() || !copied.complete {
		m.release()
		return reply
	}
	s.receiver.storeLater(m)
	return reply
}

// A copyReader copies what is read from it into a buffer.
type copyReader struct {
	from     io.Reader
	to       *buffer
	complete bool // from was read to its end
}

// Read implements [io.Reader].
func (c *copyReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.to.Write(p[:n])
	c.complete = c.complete || err == io.EOF
	return n, err
}
