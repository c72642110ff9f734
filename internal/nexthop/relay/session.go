package relay

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// A session is one sender's dialogue with the server.
type session struct {
	hop    *Hop
	sender nexthop.Sender
	conn   *conn // nil: none is open

	queue   []*command  // given and not yet answered, in order
	refused *smtp.Reply // answers what has not been sent: why the message cannot go on
	taken   []string    // recipients that the server has taken
	text    bool        // the server waits for the text
}

var (
	mailFirst   = smtp.NewReply(503, "5.5.1", "say MAIL first")
	noRecipient = smtp.NewReply(554, "5.5.1", "no valid recipients")
)

// Mail begins a message. The connection is opened when its Answer is called,
// since the recipients may be given by then and can leave in the same write.
func (s *session) Mail(mail smtp.Mail) nexthop.Answer {
	s.Reset()
	s.refused = nil
	if s.conn != nil && s.conn.open {
		s.give(stepReset, fixedLine("RSET\r\n"))
	}
	return s.give(stepMail, func(c *conn) ([]byte, *smtp.Reply) { return mailLine(mail, c) })
}

// Rcpt adds a recipient.
func (s *session) Rcpt(rcpt smtp.Recipient) nexthop.Answer {
	answer := s.give(stepRcpt, func(c *conn) ([]byte, *smtp.Reply) { return rcptLine(rcpt, c) })
	return func() smtp.Reply {
		reply := answer()
		if reply.Positive() {
			s.taken = append(s.taken, rcpt.To)
		}
		return reply
	}
}

// Data asks for the text. DATA leaves with the commands before it if none of
// them has been sent (RFC 2920, Section 3.1).
func (s *session) Data() nexthop.Answer {
	if s.refused == nil && len(s.queue) == 0 && len(s.taken) == 0 {
		return func() smtp.Reply { return noRecipient }
	}
	return s.give(stepData, fixedLine("DATA\r\n"))
}

// Send hands the text over and waits for the server's verdict.
func (s *session) Send(r io.Reader) smtp.Reply {
	if !s.text {
		return mailFirst
	}
	err := s.conn.sendText(r, s.hop.config.Timeouts.DataBlock)
	reply := s.verdict(err)
	if s.conn != nil {
		s.conn.open = false
	}
	s.text = false
	s.Reset()
	return reply
}

// Reset gives up the message at hand. The server hears RSET with the next
// message, if there is one.
func (s *session) Reset() {
	if len(s.queue) > 0 || s.text {
		s.drop() // it owes replies, or waits for a text
	}
	for _, c := range s.queue {
		c.settle(mailFirst)
	}
	s.queue, s.taken, s.text = nil, nil, false
	s.refused = &mailFirst
}

// Close takes leave of the server.
func (s *session) Close() {
	s.Reset()
	if s.conn != nil {
		s.conn.quit(s.hop.config.Timeouts.Quit)
		s.conn = nil
	}
}

// drop closes the connection at once.
func (s *session) drop() {
	if s.conn != nil {
		s.conn.drop()
		s.conn = nil
	}
}

// fail ends the message after trouble with the server. What has not been
// answered is refused for now.
func (s *session) fail(at step, err error) smtp.Reply {
	trouble := &troubleError{at, err}
	s.log(slog.LevelWarn, "next hop failed", slog.String(logkey.Step, string(at)), slog.Any(logkey.Err, err))
	reply := trouble.reply(s.sender.SessionID)
	s.end(reply)
	return reply
}

// end closes the connection; reply answers what it cannot answer any more.
func (s *session) end(reply smtp.Reply) {
	s.drop()
	s.refused = &reply
	for _, c := range s.queue {
		c.sent = false
	}
}

func (s *session) log(level slog.Level, message string, attrs ...slog.Attr) {
	attrs = append(attrs, slog.String(logkey.Session, s.sender.SessionID))
	s.hop.log.LogAttrs(context.Background(), level, message, attrs...)
}

// What a sender asked for on the strength of an earlier conversation, and the
// server does not offer in this one. The permanent replies are those that the
// extension's RFC asks for.
var (
	noUTF8       = smtp.NewReply(550, "5.6.7", "next hop takes no internationalized mail (RFC 6531)")
	noRequireTLS = smtp.NewReply(550, "5.7.30", "next hop cannot keep REQUIRETLS (RFC 8689)")
	// The sender can rewrite the message (RFC 6152, Section 3): when it comes
	// back it is not offered 8BITMIME any more.
	noEightBit = smtp.NewReply(451, "4.6.3", "next hop takes no 8BITMIME just now (RFC 6152)")
	noSuccess  = smtp.NewReply(451, "4.3.3", "next hop reports no success just now (RFC 3461)")
)

// mailLine is the MAIL command as far as the server can keep its promises.
//
// SIZE is a hint and is dropped where it is not offered. So are RET and ENVID,
// which shape a report and do not ask for one (RFC 3461, Section 5.2.2).
func mailLine(mail smtp.Mail, c *conn) ([]byte, *smtp.Reply) {
	has := c.extensions()
	switch {
	case mail.UTF8 && !has.SMTPUTF8:
		return nil, &noUTF8
	case mail.RequireTLS && !has.RequireTLS:
		return nil, &noRequireTLS
	case mail.EightBit && !has.EightBitMIME:
		return nil, &noEightBit
	}
	if !c.caps.Has("SIZE") {
		mail.Size = 0
	}
	if !has.DSN {
		mail.Return, mail.EnvelopeID = "", ""
	}
	return mail.Append(nil), nil
}

// rcptLine is the RCPT command as far as the server can keep its promises.
//
// Without DSN, NOTIFY of failures is what servers do anyway, and NEVER can only
// be hoped for. But for SUCCESS the last server that knows DSN has to write a
// report (RFC 3461, Section 5.2.2), which we cannot: the sender can, when it
// comes back and is not offered DSN any more.
func rcptLine(rcpt smtp.Recipient, c *conn) ([]byte, *smtp.Reply) {
	if !c.extensions().DSN {
		if strings.Contains(rcpt.Notify, "SUCCESS") {
			return nil, &noSuccess
		}
		rcpt.Notify, rcpt.Original = "", ""
	}
	return rcpt.Append(nil), nil
}
