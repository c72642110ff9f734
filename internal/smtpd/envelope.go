package smtpd

import (
	"time"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

func (s *session) mailFrom(arg string) {
	if s.awaitsXClient() {
		s.err = errNoXClient
		s.hangUp(throughFront, noClient)
		return
	}
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
	s.mail, s.mailBegan, s.inMessage = mail, time.Now(), true
	s.replyLater(s.nextHop().Mail(mail), func(reply smtp.Reply) {
		if !reply.Positive() {
			s.reset()
		}
	})
}

var tooLarge = smtp.NewReply(552, "5.3.4", "message exceeds size limit (see SIZE)")

// mayMail returns the refusal of a MAIL command, or nil.
func (s *session) mayMail() *smtp.Reply {
	limits := &s.setup.Limits
	switch {
	case s.greeting == "":
		return refusal(503, "5.5.1", "send EHLO first")
	case s.probe: // or it would be a way to deliver unseen
		return refusal(550, "5.7.1", "a probe delivers no mail")
	case s.inMessage:
		return refusal(503, "5.5.1", "message already begun; RSET cancels it")
	case s.messages >= limits.Messages:
		return refusal(421, "4.7.0", "too many messages in one session; reconnect for more")
	}
	if over := s.server.admission.AllowBytes(s.addr.Addr(), limits.Quotas); over != nil {
		reply := s.overLimit(450, over, "too much mail")
		return &reply
	}
	return nil
}

// nextHop returns the session at the next hop.
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
	if !s.inMessage {
		s.reply(smtp.NewReply(503, "5.5.1", "send MAIL first"))
		return
	}
	rcpt, err := smtp.ParseRecipient(arg, s.mail.UTF8, s.offered())
	if err != nil {
		s.refuse(err)
		return
	}
	to, refused := s.setup.recipients.check(rcpt.To)
	if refused != nil {
		s.reply(*refused)
		return
	}
	if s.asked++; s.asked > s.setup.Limits.Recipients {
		// RFC 5321, Section 4.5.3.1.10: the sender sends the rest in another transaction.
		s.reply(smtp.NewReply(452, "4.5.3", "too many recipients for one message"))
		return
	}
	rcpt.To = to
	s.replyLater(s.nextHop().Rcpt(rcpt), func(reply smtp.Reply) {
		// A next hop that refused MAIL may accept recipients all the same; there is no
		// message for them.
		if reply.Positive() && s.inMessage {
			s.recipients = append(s.recipients, to)
		}
	})
}
