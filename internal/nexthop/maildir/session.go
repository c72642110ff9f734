package maildir

import (
	"errors"
	"io"
	"log/slog"
	"strings"

	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// session collects the envelope. The folder is touched by Send alone.
type session struct {
	maildir *Maildir
	id      string
	mail    smtp.Mail
	rcpts   []smtp.Recipient
}

func (s *session) Mail(mail smtp.Mail) nexthop.Answer {
	s.mail = mail
	return answer(smtp.NewReply(250, "2.1.0", "sender ok"))
}

func (s *session) Rcpt(rcpt smtp.Recipient) nexthop.Answer {
	s.rcpts = append(s.rcpts, rcpt)
	return answer(smtp.NewReply(250, "2.1.5", "recipient ok"))
}

func answer(reply smtp.Reply) nexthop.Answer {
	return func() smtp.Reply { return reply }
}

func (s *session) Data() nexthop.Answer {
	return answer(smtp.Reply{Code: 354, Lines: []string{"send the message"}})
}

func (s *session) Send(r io.Reader) smtp.Reply {
	defer s.Reset()
	name, err := s.maildir.deliver(io.MultiReader(strings.NewReader(s.header()), r))
	if err == nil {
		return s.reply(250, "2.0.0", "stored as "+name)
	}
	if !errors.Is(err, errBrokenOff) {
		s.maildir.log.Error("message not stored",
			slog.String(logkey.Session, s.id),
			slog.String(logkey.NextHop, s.maildir.name()),
			slog.Any(logkey.Err, err))
	}
	if isFull(err) {
		return s.reply(452, "4.3.1", "no room for the message, try again later")
	}
	return s.reply(451, "4.3.0", "message could not be stored, try again later")
}

func (s *session) reply(code int, enhanced, text string) smtp.Reply {
	return smtp.NewReply(code, enhanced, text+" (id "+s.id+")")
}

// header is what final delivery adds to the message. The addresses cannot
// break out of their lines: smtp.ParseCommand lets no CR or LF through.
func (s *session) header() string {
	var b strings.Builder
	b.WriteString("Return-Path: <" + s.mail.From + ">\r\n")
	for _, rcpt := range s.rcpts {
		b.WriteString("Delivered-To: " + rcpt.To + "\r\n")
	}
	return b.String()
}

func (s *session) Reset() { s.mail, s.rcpts = smtp.Mail{}, nil }

func (s *session) Close() { s.Reset() }
