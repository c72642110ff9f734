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

// A session is one sender's conversation with the server.
type session struct {
	hop    *Hop
	sender nexthop.Sender
	from   origin
	conn   *conn // nil: none is open
	slot   bool  // for the current message; without it, conn rests and may be closed

	queue      []*command  // commands without a reply yet, in order
	refusal    *smtp.Reply // of the message: the reply to all commands that are not sent
	accepted   []string    // recipients that the server has accepted
	awaitsText bool        // the server has replied 354
}

var (
	mailFirst   = smtp.NewReply(503, "5.5.1", "send MAIL first")
	noRecipient = smtp.NewReply(554, "5.5.1", "no valid recipients")
)

// Mail begins a message. The connection is opened when its Answer is called: by
// then the recipients may be known, and can be sent in the same write.
func (s *session) Mail(mail smtp.Mail) nexthop.Answer {
	s.Reset()
	s.refusal = nil
	if s.conn != nil && s.conn.open {
		s.enqueue(stepReset, fixedLine("RSET\r\n"))
	}
	return s.enqueue(stepMail, func(b []byte, c *conn) ([]byte, *smtp.Reply) { return mailLine(b, mail, c) })
}

// Rcpt adds a recipient.
func (s *session) Rcpt(rcpt smtp.Recipient) nexthop.Answer {
	answer := s.enqueue(stepRcpt, func(b []byte, c *conn) ([]byte, *smtp.Reply) { return rcptLine(b, rcpt, c) })
	return func() smtp.Reply {
		reply := answer()
		if reply.Positive() {
			s.accepted = append(s.accepted, rcpt.To)
		}
		return reply
	}
}

// Data asks whether the server takes the text. DATA is sent with the commands
// before it if none of them has been sent (RFC 2920, Section 3.1).
func (s *session) Data() nexthop.Answer {
	if s.refusal == nil && len(s.queue) == 0 && len(s.accepted) == 0 {
		return func() smtp.Reply { return noRecipient }
	}
	return s.enqueue(stepData, fixedLine("DATA\r\n"))
}

// Send sends the text and returns the final reply.
func (s *session) Send(r io.Reader) smtp.Reply {
	if !s.awaitsText {
		return mailFirst
	}
	err := s.conn.sendText(r, s.hop.config.Timeouts.DataBlock)
	reply := s.finalReply(err)
	if s.conn != nil {
		s.conn.open = false
	}
	s.awaitsText = false
	s.Reset()
	return reply
}

// Reset abandons the current message. RSET is sent with the next message, if there
// is one.
func (s *session) Reset() {
	if len(s.queue) > 0 || s.awaitsText {
		s.abort() // the server owes replies, or waits for the text
	}
	s.rest()
	for _, c := range s.queue {
		c.finish(mailFirst)
	}
	clear(s.queue)
	s.queue, s.accepted, s.awaitsText = s.queue[:0], nil, false
	s.refusal = &mailFirst
}

// Close ends the conversation with QUIT.
func (s *session) Close() {
	s.Reset()
	if s.conn != nil && s.hop.slots.reclaim(s.conn) {
		s.conn.quit()
	}
	s.conn = nil
}

// begin waits for a slot for the message.
func (s *session) begin() {
	open, err := s.hop.slots.take(s.from, s.conn)
	if err != nil {
		s.end(s.noSlot(err))
		return
	}
	s.slot = true
	if !open {
		s.restart()
	}
}

// rest gives the slot back after a message. The connection stays open for the next one.
func (s *session) rest() {
	if s.slot {
		s.hop.slots.give(s.from, s.conn)
		s.slot = false
	}
}

// abort closes the connection at once, unless it rests.
func (s *session) abort() {
	if !s.slot {
		return
	}
	if s.conn != nil {
		s.conn.abort()
		s.conn = nil
	}
	s.rest()
}

// fail ends the message after a failure of the server: commands without a reply are
// deferred.
func (s *session) fail(at step, err error) smtp.Reply {
	failure := &stepError{at, err}
	if observe := s.hop.config.Observe; observe != nil {
		observe(string(at), 0, true)
	}
	s.log(slog.LevelWarn, "next hop failed", slog.String(logkey.Step, string(at)), slog.Any(logkey.Err, err))
	reply := failure.reply(s.sender.SessionID)
	s.end(reply)
	return reply
}

// end closes the connection. All commands without a reply get this one.
func (s *session) end(reply smtp.Reply) {
	s.abort()
	s.refusal = &reply
	for _, c := range s.queue {
		c.sent = false
	}
}

func (s *session) log(level slog.Level, message string, attrs ...slog.Attr) {
	attrs = append(attrs, slog.String(logkey.Session, s.sender.SessionID))
	s.hop.log.LogAttrs(context.Background(), level, message, attrs...)
}

// Replies where the sender uses an extension that the server offered in an earlier
// conversation and does not offer in this one. They are permanent where the
// extension's RFC demands it.
var (
	noUTF8       = smtp.NewReply(550, "5.6.7", "next hop does not support SMTPUTF8 (RFC 6531)")
	noRequireTLS = smtp.NewReply(550, "5.7.30", "next hop does not support REQUIRETLS (RFC 8689)")
	// At the next attempt 8BITMIME is no longer offered, and the sender can convert
	// the message (RFC 6152, Section 3).
	noEightBit = smtp.NewReply(451, "4.6.3", "next hop does not support 8BITMIME now (RFC 6152)")
	noSuccess  = smtp.NewReply(451, "4.3.3", "next hop does not support DSN now (RFC 3461)")
)

// mailLine appends the MAIL command as the server supports it, or a refusal.
//
// SIZE is a hint, and is left out if it is not offered. So are RET and ENVID, which
// only shape a notification (RFC 3461, Section 5.2.2).
func mailLine(b []byte, mail smtp.Mail, c *conn) ([]byte, *smtp.Reply) {
	switch {
	case mail.UTF8 && !c.can.SMTPUTF8:
		return nil, &noUTF8
	case mail.RequireTLS && !c.can.RequireTLS:
		return nil, &noRequireTLS
	case mail.EightBit && !c.can.EightBitMIME:
		return nil, &noEightBit
	}
	if !c.caps.Has("SIZE") {
		mail.Size = 0
	}
	if !c.can.DSN {
		mail.Return, mail.EnvelopeID = "", ""
	}
	return mail.Append(b), nil
}

// rcptLine appends the RCPT command as the server supports it, or a refusal.
//
// A server without DSN sends notifications of failures anyway, and NOTIFY=NEVER is
// lost. But for SUCCESS the last server that supports DSN must send a notification
// (RFC 3461, Section 5.2.2), and Postern sends no mail. The sender can, at its next
// attempt, when DSN is no longer offered.
func rcptLine(b []byte, rcpt smtp.Recipient, c *conn) ([]byte, *smtp.Reply) {
	if !c.can.DSN {
		if strings.Contains(rcpt.Notify, "SUCCESS") {
			return nil, &noSuccess
		}
		rcpt.Notify, rcpt.Original = "", ""
	}
	return rcpt.Append(b), nil
}
