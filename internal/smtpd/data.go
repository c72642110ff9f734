package smtpd

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"postern/internal/logkey"
	"postern/internal/smtp"
)

// data receives a message with DATA (RFC 5321, Section 4.1.1.4).
func (s *session) data(arg string) {
	if arg != "" {
		s.reply(smtp.NewReply(501, "5.5.4", "DATA takes no argument"))
		return
	}
	if reply := s.mayText(); reply != nil {
		s.reply(*reply)
		return
	}
	s.reply(smtp.Reply{Code: 354, Lines: []string{"send message; end it with a line that has only a dot"}})
	s.flush()
	if s.end != "" {
		return
	}
	s.timed.start(s.setup.Limits.TextTimeout)
	dots := smtp.NewDotReader(s.in)
	text := smtp.NewTextChecker(dots, s.setup.Limits.text())
	reply := s.deliver(text)
	s.received(text, dots, reply)
}

// mayText returns the refusal of a DATA or BDAT command, or nil if the next hop is ready
// for the message.
func (s *session) mayText() *smtp.Reply {
	if len(s.pending) == 0 {
		if reply := s.noText(); reply != nil {
			return reply
		}
	}
	// Sent before the pending replies are waited for, so that DATA is pipelined with
	// MAIL and RCPT.
	answer := s.nextHop().Data()
	s.writePending()
	reply := passOn(answer())
	if refused := s.noText(); refused != nil {
		return refused
	}
	switch {
	case s.end != "": // one of those replies ended the session
	case reply.Intermediate():
		return nil
	case reply.Positive(): // invalid here, and no sender would understand it
		reply = smtp.NewReply(451, "4.5.0", "unexpected reply from next hop")
	}
	s.command.recipients = s.recipients
	s.abandon()
	return &reply
}

// noText returns the refusal of a message without an envelope, or nil.
func (s *session) noText() *smtp.Reply {
	switch {
	case !s.inMessage:
		return refusal(503, "5.5.1", "send MAIL first")
	case len(s.recipients) == 0:
		return refusal(554, "5.5.1", "no valid recipients")
	}
	return nil
}

// deliver sends the Received field and the text to the next hop.
func (s *session) deliver(text *smtp.TextChecker) smtp.Reply {
	s.texts++
	reply := passOn(s.hop.Send(&traced{s.receivedField(time.Now()), text}))
	if reply.Positive() && text.Err() != io.EOF {
		return smtp.NewReply(451, "4.5.0", "next hop replied before end of message")
	}
	return reply
}

// A traced reads a text behind its Received field, both at once if there is room.
type traced struct {
	field []byte
	text  io.Reader
}

// Read reads the rest of the field, and from the text.
func (t *traced) Read(b []byte) (int, error) {
	n := copy(b, t.field)
	if t.field = t.field[n:]; n == len(b) {
		return n, nil
	}
	more, err := t.text.Read(b[n:])
	return n + more, err
}

// errEndless says that a sender sends more and more of a refused message.
var errEndless = errors.New("smtpd: no end of refused message")

// discard reads the rest of a refused message, since most senders read no reply before they
// have sent it. It returns errEndless if that is too much.
func (s *session) discard(rest io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(rest, s.setup.Limits.MessageSize))
	s.count(n)
	if err == nil && n >= s.setup.Limits.MessageSize {
		return errEndless
	}
	return err
}

// count counts n bytes of received text, accepted or not.
func (s *session) count(n int64) {
	s.server.admission.AddBytes(s.addr.Addr(), s.setup.Limits.Quotas, n)
	s.bytes += n
}

// received ends a message after the reply of the next hop. Part of text and rest may not
// have been read yet.
func (s *session) received(text *smtp.TextChecker, rest io.Reader, reply smtp.Reply) {
	s.count(text.Size())
	err := text.Err()
	if refusedText(err) {
		reply = ruleReply(err)
	}
	var ended error
	if err == nil || refusedText(err) || brokenRule(err) { // if nil, the next hop has refused it
		// Even if it is refused already, there must be no doubt where it ends.
		if ended = s.discard(rest); brokenRule(ended) {
			err = ended
		}
	}
	switch {
	case brokenRule(err):
		s.atEndOfMessage()
		s.hangUp(ruleReply(err), "message refused: "+err.Error())
	case ended != nil:
		s.atEndOfMessage()
		s.unfinished(reply, ended)
	case err == nil, err == io.EOF, refusedText(err):
		s.finish(reply)
	default:
		s.lost(err)
	}
}

// unfinished ends the session in a refused message or chunk, whose end was not read for a
// reason. Only a sender that is still there gets the reply.
func (s *session) unfinished(reply smtp.Reply, reason error) {
	if !errors.Is(reason, errEndless) && !errors.Is(reason, os.ErrDeadlineExceeded) {
		s.lost(reason)
		return
	}
	s.hangUp(reply, "sender kept sending refused message")
}

// finish replies to the message.
func (s *session) finish(reply smtp.Reply) {
	s.atEndOfMessage()
	if reply.Positive() {
		s.messages++
		s.acknowledged += len(s.recipients)
		s.logMessage(reply)
		now := time.Now()
		s.server.observer.MessageAccepted(AcceptedMessage{
			At: now, Sender: s.addr, From: s.mail.From, Recipients: s.recipients, Took: now.Sub(s.mailBegan),
		})
	}
	s.reset()
	s.put(s.command, reply)
}

// atEndOfMessage makes the end of the text what the next reply is to.
func (s *session) atEndOfMessage() {
	s.command = command{verb: endOfMessage, from: s.mail.From, recipients: s.recipients}
}

// logMessage logs an accepted message and the reply to it. Others are logged as refused
// commands.
func (s *session) logMessage(reply smtp.Reply) {
	if !s.server.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	s.server.log.LogAttrs(context.Background(), slog.LevelDebug, "message",
		slog.String(logkey.Session, s.id),
		slog.String(logkey.Sender, s.addr.String()),
		slog.String(logkey.From, s.mail.From),
		slog.Any(logkey.Recipients, s.recipients),
		slog.String(logkey.Reply, reply.String()),
	)
}

// lost ends the session after a read error in a message.
func (s *session) lost(err error) {
	s.command = command{} // what follows is no reply to one
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.leave(smtp.NewReply(421, "4.4.2", "timeout receiving message"), "timeout in message")
		return
	}
	s.end, s.err = "connection lost in message", err
}

// brokenRule reports an error after which no input is safe to execute as a command:
// another server could see the end of the message elsewhere.
func brokenRule(err error) bool {
	return errors.Is(err, smtp.ErrBareLF) || errors.Is(err, smtp.ErrBareCR)
}

// refusedText reports an error for which a message is refused and the session goes on.
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
		return smtp.NewReply(554, "5.4.6", "too many Received fields: mail loop")
	}
	return tooLarge
}
