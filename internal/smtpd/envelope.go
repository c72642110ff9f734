package smtpd

import (
	"postern/internal/nexthop"
	"postern/internal/smtp"
)

func (s *session) mailFrom(arg string) {
	if reply := s.mayMail(); reply != nil {
		s.reply(*reply)
		return
	}
	offered := s.offered()
	mail, err := smtp.ParseMail(arg, offered)
	if err != nil {
		s.refuse(err)
		return
	}
	if mail.Size > offered.Size {
		s.reply(tooLarge)
		return
	}
	s.mail, s.phase = mail, inEnvelope
	s.later(s.nextHop().Mail(mail), func(reply smtp.Reply) {
		if !reply.Positive() {
			s.reset()
		}
	})
}

var tooLarge = smtp.NewReply(552, "5.3.4", "message larger than taken here (see SIZE)")

// mayMail says why a message may not begin now, if so.
func (s *session) mayMail() *smtp.Reply {
	limits := &s.setup.Limits
	switch {
	case s.greeting == "":
		return refusal(503, "5.5.1", "say EHLO first")
	case s.phase != betweenMessages:
		return refusal(503, "5.5.1", "one message at a time, RSET gives it up")
	case s.messages >= limits.Messages:
		return refusal(421, "4.7.0", "too many messages in one session, come back for the next")
	case !s.server.admission.AllowBytes(s.network, limits.Quotas):
		return refusal(450, "4.7.0", "too much mail from your network for now, try again later")
	}
	return nil
}

// nextHop is the hop's side of this session.
func (s *session) nextHop() nexthop.Session {
	if s.hop == nil {
		s.hop = s.server.hop.Open(nexthop.Sender{
			SessionID: s.id,
			Addr:      s.addr,
			Local:     s.local,
			Greeting:  s.greeting,
			Extended:  s.extended,
			TLS:       s.tls,
		})
	}
	return s.hop
}

func (s *session) rcptTo(arg string) {
	if s.phase != inEnvelope {
		s.reply(smtp.NewReply(503, "5.5.1", "send MAIL first"))
		return
	}
	rcpt, err := smtp.ParseRecipient(arg, s.mail.UTF8, s.offered())
	if err != nil {
		s.refuse(err)
		return
	}
	to, refused := s.setup.taken.check(rcpt.To)
	if refused != nil {
		s.reply(*refused)
		return
	}
	if s.asked++; s.asked > s.setup.Limits.Recipients {
		// RFC 5321, Section 4.5.3.1.10: the sender brings the rest in another message.
		s.reply(smtp.NewReply(452, "4.5.3", "too many recipients for one message"))
		return
	}
	rcpt.To = to
	s.later(s.nextHop().Rcpt(rcpt), func(reply smtp.Reply) {
		// Where MAIL was refused, a hop that takes recipients all the same takes them
		// for no message.
		if reply.Positive() && s.phase == inEnvelope {
			s.recipients = append(s.recipients, to)
		}
	})
}
