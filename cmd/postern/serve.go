package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"postern/internal/config"
	"postern/internal/server"
	"postern/internal/terminal"
)

// serve is the subcommand that receives mail.
type serve struct {
	Config string `placeholder:"FILE" help:"Read the configuration from this TOML file. Flags win over it."`
	config.Flags
	Check bool `help:"Only check the configuration and tell what it says."`
}

// Help is what postern serve --help says besides the flags.
func (serve) Help() string {
	return `Without any flag it listens on 127.0.0.1:2525 and stores messages in a Maildir below ./postern-data.

SIGTERM or SIGINT: let the sessions finish the message they are in, then stop; a second one stops at once.
SIGHUP: read the configuration and the certificates again. Certificates are read again too when their files change.

deploy/postern.toml explains every key of the configuration.`
}

// Run is called by kong.
func (s serve) Run(ui terminal.UI) error {
	c, err := s.load()
	if err != nil {
		return err
	}
	if s.Check {
		return printChecked(ui, c)
	}
	// From here on a signal must not end the process by itself.
	stop, hangup := make(chan os.Signal, 2), make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	signal.Notify(hangup, syscall.SIGHUP)

	level := new(slog.LevelVar)
	level.Set(c.Log.Level)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := newLog(ui.Err, c.Log.Format, level)
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
	printBanner(ui, c, log, listeners, srv.Certificates())
	return srv.Run(s.load, stop, hangup)
}

func (s serve) load() (*config.Config, error) { return config.Load(s.Config, s.Flags) }

// newLog makes the log in one of the formats of [config.Log].
func newLog(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
