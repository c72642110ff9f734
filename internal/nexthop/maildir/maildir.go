// Package maildir is the next hop that needs no other server: it stores
// messages in one Maildir folder (https://cr.yp.to/proto/maildir.html), where
// Dovecot, mutt and every other reader of that format finds them.
//
// One message is one file, however many recipients it has: it is accepted for
// all of them in one step or for none. At its top stand Return-Path with the
// envelope's sender (RFC 5321, Section 4.4) and a Delivered-To for each
// recipient (RFC 9228). A Return-Path that the message brings along stays
// below them. Who reads the folder sees all recipients, those of Bcc too.
//
// Lines end in LF, not CRLF: Postfix and qmail store them so, and Dovecot does
// unless told otherwise; it sends CRLF to its clients from either. mutt and
// grep would show each CR. A file's name has both sizes, S as stored and W
// with CRLF, which spares Dovecot reading the file for them.
//
// # What a reply promises
//
// 250 means that the message is in new/ and synced, see package durable. After
// any other reply nothing of it is there, after 452 and 451 the sender comes
// again. A crash can leave a part of a message in tmp/, never in new/, and it
// can leave a message in new/ whose 250 was not sent yet: then the sender sends
// it once more, which RFC 1047 describes and no server can rule out.
//
// DSN is not offered. RFC 3461, Section 5.2.3, has the final server send the
// notification that NOTIFY=SUCCESS asks for, and Postern sends no mail.
package maildir

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"postern/internal/durable"
	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// Maildir is a next hop that stores messages in a folder. It is safe for
// concurrent use, also by several processes and machines that deliver to the
// same folder.
type Maildir struct {
	dir    string
	host   string // as it stands in file names
	in     *durable.Folder
	create func(tmp string) (file, error)
	log    *slog.Logger
}

// A file is a *durable.File.
type file interface {
	io.Writer
	Commit(name string) error
	Discard()
}

// New makes dir with its folders cur, new and tmp, as far as they are missing,
// readable by their owner alone. It logs to log; nil is silent.
func New(dir string, log *slog.Logger) (*Maildir, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("maildir: host name for file names: %w", err)
	}
	for _, folder := range []string{"cur", "new", "tmp"} {
		if err := durable.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, fmt.Errorf("maildir: %w", err)
		}
	}
	in, err := durable.OpenFolder(filepath.Join(dir, "new"))
	if err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	m := &Maildir{dir: dir, host: escapeHost(host), in: in, log: log}
	m.create = func(tmp string) (file, error) { return in.Create(tmp, 0o600) }
	return m, nil
}

// Extensions tells what a folder can take: any message of any size. It keeps
// the promise of REQUIRETLS since it passes nothing on (RFC 8689, Section 4.4).
func (m *Maildir) Extensions() smtp.Extensions {
	return smtp.Extensions{EightBitMIME: true, SMTPUTF8: true, RequireTLS: true}
}

// Open starts a session, which needs nothing but the id for its replies.
func (m *Maildir) Open(sender nexthop.Sender) nexthop.Session {
	return &session{maildir: m, id: sender.SessionID}
}

// Close lets go of the folder, once no session is delivering any more.
func (m *Maildir) Close() error { return m.in.Close() }

// name is how the log calls the folder.
func (m *Maildir) name() string { return "maildir:" + m.dir }

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
