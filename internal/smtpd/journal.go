package smtpd

import (
	"context"
	"log/slog"
	"time"

	"postern/internal/logkey"
	"postern/internal/smtp"
)

// logEnd writes the session's one line.
func (s *session) logEnd() {
	attrs := []slog.Attr{
		slog.String(logkey.Session, s.id),
		slog.String(logkey.Sender, s.addr.String()),
		slog.String(logkey.EHLO, s.called),
	}
	if s.tls != nil {
		attrs = append(attrs, slog.String(logkey.TLS, tlsWords(s.tls)))
	}
	attrs = append(attrs,
		slog.Int(logkey.Messages, s.messages),
		slog.Int(logkey.Recipients, s.taken),
		slog.Int64(logkey.Bytes, s.bytes),
		slog.Duration(logkey.Duration, time.Since(s.began).Round(time.Millisecond)),
		slog.String(logkey.End, s.end),
	)
	if s.err != nil {
		attrs = append(attrs, slog.Any(logkey.Err, s.err))
	}
	attrs = append(attrs, s.server.watch.Ended(s.visit())...)
	s.server.log.LogAttrs(context.Background(), slog.LevelInfo, "session", attrs...)
}

// logMessage tells of one message and what the next hop said.
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
