// Package demo runs a Postern of its own whose dashboard has something to show: senders that
// deliver, senders that fail, refused commands, TLS reports, and 90 days before that.
//
//	err := demo.Run(ctx, demo.Settings{Dashboard: "127.0.0.1:8025", Folder: folder}, ready)
//
// # What is real
//
// Every handshake is one between a test client or a real program and a Postern, and every
// diagnosis and every decision of the fallback is what that Postern made of it. First all
// senders connect to a Postern for rehearsal, once with a valid certificate and once with an
// expired one. Then the ledger of the demo is filled with copies of those handshakes at
// earlier times, under new session ids. From then on, senders connect to the demo itself, and
// what the ledger gets is no copy.
//
// The senders' addresses are of networks that are reserved for tests and documentation
// (RFC 2544, RFC 3849). The names are those of RFC 2606, and outlook.com for the client of
// October 2024. A DNS server of the demo confirms them.
//
// # Limits
//
// Everything listens on and connects to 127.0.0.1 only. Files are in the folder, and temporary ones
// are removed at the end.
package demo

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"postern/internal/testpeer"
)

// Settings are where a demo runs.
type Settings struct {
	Dashboard string // address to listen on; if it is taken, the system chooses a port
	Folder    string // for files; it exists
	Step      func(what string)
}

// A Demo is what to look at.
type Demo struct {
	Login string // a link to the dashboard, for one login within ten minutes
	SMTP  string // the address that accepts mail, besides that of the senders
	Data  string // the data folder
	Log   string // the file of the log
	To    string // an address that accepts mail
}

// Run fills a ledger, starts a Postern on it, calls ready, and lets senders connect until ctx is
// done. Then it stops everything, and returns nil.
func Run(ctx context.Context, s Settings, ready func(Demo)) error {
	var err error
	if s.Folder, err = filepath.Abs(s.Folder); err != nil {
		return err
	}
	f, err := os.Create(logFile(s.Folder))
	if err != nil {
		return err
	}
	defer f.Close()
	err = testpeer.Run(ctx, io.Discard, nil, func(scope *testpeer.Scope) error {
		return s.run(ctx, scope, slog.New(slog.NewTextHandler(f, nil)), ready)
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

func (s Settings) run(ctx context.Context, scope *testpeer.Scope, log *slog.Logger, ready func(Demo)) error {
	now := time.Now()
	w := newWorld(scope, now)
	s.Step("senders connect to a Postern for rehearsal")
	valid, err := w.rehearse(ctx, w.config(scope.TempDir(), w.valid, "off"), log, w.beforeExpiry)
	if err != nil {
		return err
	}
	expired, err := w.rehearse(ctx, w.config(scope.TempDir(), w.expired, "off"), log, w.afterExpiry)
	if err != nil {
		return err
	}
	s.Step("90 days before today are written to the ledger")
	data := filepath.Join(s.Folder, "data")
	if err := writeHistory(ctx, data, w.history(now, valid, expired), log); err != nil {
		return err
	}
	p, err := w.start(w.config(data, w.expired, freeAddress(s.Dashboard)), log)
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.server.Check(); err != nil {
		return err
	}
	login, err := p.login(time.Now())
	if err != nil {
		return err
	}
	ready(Demo{Login: login, SMTP: p.smtp, Data: data, Log: logFile(s.Folder), To: recipient})
	w.traffic(ctx, p)
	return nil
}

func logFile(folder string) string { return filepath.Join(folder, "postern.log") }
