package smtpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"postern/internal/logkey"
	"postern/internal/smtp"
)

// data takes a message by DATA (RFC 5321, Section 4.1.1.4).
func (s *session) data(arg string) {
	if arg != "" {
		s.reply(smtp.NewReply(501, "5.5.4", "DATA takes no argument"))
		return
	}
	if reply := s.mayText(); reply != nil {
		s.reply(*reply)
		return
	}
	s.reply(smtp.Reply{Code: 354, Lines: []string{"send the message, then a line with a dot"}})
	s.flush()
	if s.end != "" {
		return
	}
	s.paced.start(s.setup.Limits.TextTimeout, s.setup.Limits.TextTimeout)
	dots := smtp.NewDotReader(s.in)
	text := smtp.NewTextChecker(dots, s.setup.Limits.text())
	reply := s.deliver(text)
	s.received(text, dots, reply)
}

// mayText says why the text may not come now, if so. Else the next hop waits
// for it.
func (s *session) mayText() *smtp.Reply {
	if len(s.pending) == 0 {
		if reply := s.noText(); reply != nil {
			return reply
		}
	}
	// Asked for before the replies that are pending are waited for, so that
	// DATA can go on with MAIL and RCPT.
	answer := s.nextHop().Data()
	s.settle()
	reply := answer().Enhance()
	if refused := s.noText(); refused != nil {
		return refused
	}
	switch {
	case s.end != "": // one of those replies was the last that the sender gets
	case reply.Intermediate():
		return nil
	case reply.Positive(): // no server says so, and no sender would understand
		reply = smtp.NewReply(451, "4.5.0", "next hop answers out of turn")
	}
	s.abandon()
	return &reply
}

// noText says why no text can come to the envelope as it is, if so.
func (s *session) noText() *smtp.Reply {
	switch {
	case s.phase != inEnvelope:
		return refusal(503, "5.5.1", "send MAIL first")
	case len(s.recipients) == 0:
		return refusal(554, "5.5.1", "no valid recipients")
	}
	return nil
}

// deliver hands the text to the next hop behind its Received field.
func (s *session) deliver(text *smtp.TextChecker) smtp.Reply {
	s.texts++
	trace := strings.NewReader(s.trace(time.Now()))
	reply := s.hop.Send(io.MultiReader(trace, text)).Enhance()
	if reply.Positive() && text.Err() != io.EOF {
		return smtp.NewReply(451, "4.5.0", "next hop answered before the message's end")
	}
	return reply
}

// discard reads the rest of a message that is refused, so that the sender
// listens to the reply. It returns the rule that the rest breaks, if any. A
// sender that goes on for too long is cut off.
func (s *session) discard(rest io.Reader) (broken error) {
	n, err := io.Copy(io.Discard, io.LimitReader(rest, s.setup.Limits.MessageSize))
	s.count(n)
	switch {
	case brokenRule(err):
		return err
	case err != nil || n >= s.setup.Limits.MessageSize:
		s.end, s.err = "sender did not stop", err
	}
	return nil
}

// count notes n bytes of text that have come, taken or not.
func (s *session) count(n int64) {
	s.server.admission.AddBytes(s.network, s.setup.Limits.Quotas, n)
	s.bytes += n
}

// received replies to a message of which text was read, and rest perhaps not
// yet, and that the next hop answered with reply.
func (s *session) received(text *smtp.TextChecker, rest io.Reader, reply smtp.Reply) {
	s.count(text.Size())
	err := text.Err()
	if err == nil || refusedText(err) || brokenRule(err) {
		// Whatever is wrong with it already, where it ends must be beyond doubt.
		if broken := s.discard(rest); broken != nil {
			err = broken
		}
	}
	switch {
	case err == nil, err == io.EOF: // where nil, the next hop has heard enough
		s.finish(reply)
	case refusedText(err):
		s.finish(ruleReply(err))
	case brokenRule(err):
		s.hangUp(ruleReply(err), "message refused: "+err.Error())
	default:
		s.lost(err)
	}
}

// finish ends the message with its reply.
func (s *session) finish(reply smtp.Reply) {
	if reply.Positive() {
		s.messages++
		s.acknowledged += len(s.recipients)
	}
	s.logMessage(reply)
	s.reset()
	s.put(reply)
}

// logMessage logs a message and the reply to it.
func (s *session) logMessage(reply smtp.Reply) {
	level := slog.LevelDebug
	if !reply.Positive() {
		level = slog.LevelInfo
	}
	s.server.log.LogAttrs(context.Background(), level, "message",
		slog.String(logkey.Session, s.id),
		slog.String(logkey.Sender, s.addr.String()),
		slog.String(logkey.From, s.mail.From),
		slog.Any(logkey.Recipients, s.recipients),
		slog.String(logkey.Reply, reply.String()),
	)
}

// lost ends a session whose sender broke off in the text.
func (s *session) lost(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.hangUp(smtp.NewReply(421, "4.4.2", "message came too slowly"), "timeout in message")
		return
	}
	s.end, s.err = "connection lost in message", err
}

// brokenRule reports text after which nothing can be trusted to be a command:
// another server could see the message's end elsewhere.
func brokenRule(err error) bool {
	return errors.Is(err, smtp.ErrBareLF) || errors.Is(err, smtp.ErrBareCR)
}

// refusedText reports text that is refused, and the session goes on.
func refusedText(err error) bool {
	return errors.Is(err, smtp.ErrTooLarge) || errors.Is(err, smtp.ErrLineTooLong) ||
		errors.Is(err, smtp.ErrLoop) || errors.Is(err, smtp.ErrNUL)
}

func ruleReply(err error) smtp.Reply {
	switch {
	case errors.Is(err, smtp.ErrBareLF):
		return smtp.NewReply(550, "5.6.0", "LF without CR in message, lines must end in CRLF (RFC 5321, section 2.3.8)")
	case errors.Is(err, smtp.ErrBareCR):
		return smtp.NewReply(550, "5.6.0", "CR without LF in message, lines must end in CRLF (RFC 5321, section 2.3.8)")
	case errors.Is(err, smtp.ErrNUL):
		return smtp.NewReply(550, "5.6.0", "NUL in message (RFC 5322, section 4)")
	case errors.Is(err, smtp.ErrLineTooLong):
		return smtp.NewReply(550, "5.6.0", "line of message too long (RFC 5322, section 2.1.1)")
	case errors.Is(err, smtp.ErrLoop):
		return smtp.NewReply(554, "5.4.6", "too many Received fields, mail loops")
	}
	return tooLarge
}
