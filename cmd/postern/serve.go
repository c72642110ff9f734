package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/logkey"
	"postern/internal/safetext"
	"postern/internal/server"
	"postern/internal/smtp"
	"postern/internal/terminal"
)

// serveCmd receives mail.
type serveCmd struct {
	Config string `placeholder:"FILE" help:"Read the configuration from this TOML file. Flags override it. Default: ${config}, if there is one."`
	config.Flags
	Check  bool `help:"Check the configuration, print a summary and warnings, and exit."`
	Strict bool `help:"With --check: exit with 1 if there are warnings."`
}

// Help is called by kong.
func (serveCmd) Help() string {
	return `Without flags and configuration, postern serve listens on 127.0.0.1:2525 and stores messages in a Maildir in ./postern-data.

Signals:

  SIGTERM, SIGINT  drain: sessions finish their message, within a minute;
                   a second signal stops at once
  SIGHUP           reload the configuration and the certificates

Certificates are also reloaded when their files change.

postern.toml(5) explains every key of the configuration, as the file deploy/postern.toml does.

Exit status:

  0  a signal ended it; with --check: the configuration is valid
  1  it failed: a port is in use, for example; with --strict: a warning
  2  wrong command line or configuration`
}

// Run is called by kong.
func (s serveCmd) Run(ui terminal.UI) error {
	files := new(certs.Files)
	load := func() (*config.Config, error) { return config.Load(configFile(s.Config), s.Flags, files) }
	c, err := load()
	if err != nil {
		return err
	}
	if emptied := c.Emptied(); len(emptied) > 0 {
		return emptied
	}
	if s.Check {
		return printChecked(ui, c, s.Strict)
	}
	if s.Strict {
		return &terminal.UsageError{Err: errors.New("--strict needs --check"), Hint: "add --check, or remove --strict"}
	}
	// From here on, signals do not kill the process.
	stop, hangup := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(hangup, syscall.SIGHUP)

	level := new(slog.LevelVar)
	level.Set(c.Log.Level)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := newLog(ui.Err, c.Log, level)
	srv, err := server.New(c, log, level)
	if err != nil {
		return cannotWrite(c, err)
	}
	defer srv.Close()
	listeners, err := server.Listen(c)
	if err != nil {
		return err
	}
	srv.Start(ctx, listeners)
	printBanner(ui, c, log, listeners, srv)
	return srv.Run(load, stop, hangup)
}

// newLog returns a logger of that format, which logs as much of mail addresses as o says.
func newLog(w io.Writer, o config.Log, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if o.Addresses != smtp.FullAddress {
		options.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr { return shortenAddresses(a, o.Addresses) }
	}
	if o.Format == "json" {
		return slog.New(slog.NewJSONHandler(jsonLog{w}, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// A jsonLog escapes what [slog.JSONHandler] leaves in a line that is not printable.
// [slog.TextHandler] quotes such text.
type jsonLog struct{ w io.Writer }

func (l jsonLog) Write(line []byte) (int, error) {
	if _, err := l.w.Write(safetext.JSON(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// shortenAddresses returns an attribute of the log with as much of mail addresses as detail
// says. Replies of servers, and errors and ends of sessions that quote them, have some, and the
// EHLO of some devices is one.
func shortenAddresses(a slog.Attr, detail smtp.AddressDetail) slog.Attr {
	switch a.Key {
	case logkey.From:
		return slog.String(a.Key, detail.Of(a.Value.String()))
	case logkey.Recipients:
		all, ok := a.Value.Any().([]string)
		if !ok {
			return a // their number
		}
		shortened := make([]string, len(all))
		for i, text := range all {
			if strings.HasPrefix(text, "<") { // a mailbox with its reply
				shortened[i] = detail.In(text)
			} else {
				shortened[i] = detail.Of(text)
			}
		}
		return slog.Any(a.Key, shortened)
	case logkey.EHLO, logkey.Reply, logkey.End, logkey.Err:
		return slog.String(a.Key, detail.In(a.Value.String()))
	}
	return a
}
