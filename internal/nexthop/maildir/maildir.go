// Package maildir is the next hop that stores messages in a Maildir
// (https://cr.yp.to/proto/maildir.html), which Dovecot, mutt and other programs
// read. It needs no other server.
//
// Each message is one file, however many recipients it has, so that it is accepted
// for all of them or for none. The file begins with Return-Path, the envelope's
// sender (RFC 5321, Section 4.4), and a Delivered-To for each recipient (RFC 9228). A
// Return-Path that the message already has stays below them. Every reader of the
// Maildir sees all recipients, also those of Bcc.
//
// Lines end in LF, not CRLF, as Postfix and qmail store them, and Dovecot by default;
// it sends CRLF to its clients in either case. mutt and grep would show each CR. A
// file's name includes both sizes, S as stored and W with CRLF, so that Dovecot need
// not read the file for them.
//
// # What a reply promises
//
// 250 means that the message is in new/ and synced: see package durable. After any
// other reply nothing of it is left, and after 451 and 452 the sender tries again. A
// crash can leave a message in new/ whose reply 250 was not sent yet: then the sender
// sends it once more, which RFC 1047 describes and no server can prevent. It leaves no
// part of a message, except in tmp/ where the system has no files without a name.
//
// When the Maildir is moved away and another one put in its place, as in a restore,
// messages under way are deferred, and the next ones are stored in the new one.
//
// DSN is not offered. RFC 3461, Section 5.2.3, has the final server send the
// notification for NOTIFY=SUCCESS, and Postern sends no mail.
package maildir

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/durable"
	"postern/internal/logkey"
	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// A Maildir is a next hop that stores messages in a folder. It is safe for concurrent
// use. Other processes and machines may deliver to the same folder.
type Maildir struct {
	dir        string
	host       string // as in file names
	random     uint64 // likewise
	deliveries atomic.Uint64
	create     func(unique string) (file, error)
	log        *slog.Logger

	// Observe, when not nil, is called for each message that is stored, with how long the
	// disk took after the end of its text, and for each that cannot be. It is set before the
	// first session. Sessions wait for it.
	Observe func(took time.Duration, failed bool)

	mu sync.Mutex
	in *durable.Folder // new/
}

// A file is a [*durable.File], or one with faults in tests.
type file interface {
	io.Writer
	Commit(name string) error
	Discard()
}

// New opens the Maildir in dir. It creates dir and its folders cur, new and tmp if
// they are missing, readable by their owner only. log may be nil.
func New(dir string, log *slog.Logger) (*Maildir, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("maildir: reading the host name: %w", err)
	}
	for _, folder := range []string{"cur", "new", "tmp"} {
		if err := durable.MkdirAll(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, fmt.Errorf("maildir: %w", err)
		}
	}
	m := &Maildir{dir: dir, host: escapeHost(host), random: rand.Uint64(), log: log}
	m.create = m.newFile
	if m.in, err = m.openNew(); err != nil {
		return nil, fmt.Errorf("maildir: %w", err)
	}
	return m, nil
}

func (m *Maildir) openNew() (*durable.Folder, error) {
	return durable.OpenFolder(filepath.Join(m.dir, "new"), filepath.Join(m.dir, "tmp"))
}

// newFile creates a file for new/, which it opens again if it was replaced.
func (m *Maildir) newFile(unique string) (file, error) {
	m.mu.Lock()
	in := m.in
	m.mu.Unlock()
	f, err := in.Create(unique, 0o600)
	if errors.Is(err, durable.ErrMoved) {
		if in, err = m.reopen(in); err == nil {
			f, err = in.Create(unique, 0o600)
		}
	}
	return f, err
}

// reopen opens new/ again, unless another delivery already has. It does not close the old
// one: deliveries may be under way there, and end with an error. The garbage collector
// closes it.
func (m *Maildir) reopen(old *durable.Folder) (*durable.Folder, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.in != old {
		return m.in, nil
	}
	in, err := m.openNew()
	if err != nil {
		return nil, err
	}
	m.in = in
	m.log.Warn("folder moved or replaced; delivering to the one in its place", slog.String(logkey.NextHop, m.name()))
	return in, nil
}

// Check returns the error of a message that came now: a file is created, and removed.
func (m *Maildir) Check() error {
	f, err := m.create(m.uniqueName(time.Now()))
	if err == nil {
		f.Discard()
	}
	return err
}

// Extensions returns what a folder supports: any message of any size. It can promise
// REQUIRETLS because it passes nothing on (RFC 8689, Section 4.4).
func (m *Maildir) Extensions() smtp.Extensions {
	return smtp.Extensions{EightBitMIME: true, SMTPUTF8: true, RequireTLS: true}
}

// Open begins a session.
func (m *Maildir) Open(sender nexthop.Sender) nexthop.Session {
	return &session{maildir: m, id: sender.SessionID}
}

// Close closes the folder. No session may be delivering.
func (m *Maildir) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.in.Close()
}

// name returns the folder's name in the log.
func (m *Maildir) name() string { return "maildir:" + m.dir }

// A session collects the envelope. Only Send accesses the folder.
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
	if !errors.Is(err, errIncomplete) {
		if s.maildir.Observe != nil {
			s.maildir.Observe(0, true)
		}
		s.maildir.log.Error("cannot store message",
			slog.String(logkey.Session, s.id),
			slog.String(logkey.NextHop, s.maildir.name()),
			slog.Any(logkey.Err, err))
	}
	if isFull(err) {
		return s.reply(452, "4.3.1", "insufficient storage, try again later")
	}
	return s.reply(451, "4.3.0", "cannot store the message, try again later")
}

func (s *session) reply(code int, enhanced, text string) smtp.Reply {
	return smtp.NewReply(code, enhanced, text+" (id "+s.id+")")
}

// header returns what final delivery adds to the message. The addresses contain no
// CR or LF: see [smtp.ParseCommand].
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
