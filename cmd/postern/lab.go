package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"postern/internal/clientsim"
)

// experiment is the subcommand that lets clients visit servers on this machine.
type experiment struct {
	Peers   []string      `placeholder:"FOLDER" sep:"none" help:"Let real mail servers play too: mox and maddy as mox-VERSION and maddy-VERSION in this folder; chasquid, Exim, Postfix and nginx from there, PATH or /usr/sbin. Repeatable."`
	Timeout time.Duration `default:"10m" placeholder:"TIME" help:"Spend no more than this (${default})."`
	HTML    string        `name:"html" placeholder:"FILE" help:"Write one page, too, in which a cell opens its handshakes."`
	JSON    bool          `help:"As one JSON object; docs/json.md tells the fields."`
}

// Help is shown by kong.
func (experiment) Help() string {
	return `Clients that behave as known senders do, and OpenSSL, GnuTLS and swaks where they
are found, visit mail servers on 127.0.0.1: go-smtp with the tickets of Go as they
are, behind the gate, and without. Who is given a session comes again with it. No
mail is sent, and what is started ends.

Exit status: 0 all could be told, 1 it failed, 3 something could not be told or did
not start. Servers that are not installed, or start only as root, are named, and
change nothing.`
}

// Run is called by kong.
func (e experiment) Run(ui terminal) error {
	if err := e.check(); err != nil {
		return &usageError{err: err}
	}
	page, err := createPage(e.HTML)
	if err != nil {
		return err
	}
	matrix, err := e.experiment(ui)
	if err != nil {
		return err
	}
	if err := errors.Join(matrix.WriteHTML(page), page.Close()); err != nil {
		return err
	}
	return e.tell(ui, matrix)
}

func (e experiment) check() error {
	if e.Timeout <= 0 {
		return fmt.Errorf("--timeout %v: want more than nothing", e.Timeout)
	}
	for _, folder := range e.Peers {
		entry, err := os.Stat(folder)
		switch {
		case err != nil:
			return fmt.Errorf("--peers: %w", err)
		case !entry.IsDir():
			return fmt.Errorf("--peers %s: want a folder", folder)
		}
	}
	return nil
}

// createPage makes the file before the experiment, which takes its time. Without a name
// nothing is kept.
func createPage(name string) (*os.File, error) {
	if name == "" {
		name = os.DevNull
	}
	return os.Create(name)
}

func (e experiment) experiment(ui terminal) (*clientsim.Matrix, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	line := newProgress(ui.err)
	defer line.Done()
	l := &clientsim.Lab{Peers: e.Peers, Timeout: e.Timeout, Progress: func(done, all int) {
		line.Say(fmt.Sprintf("%d of %d clients have visited", done, all))
	}}
	matrix, err := l.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil, errors.New("stopped before all had visited")
	}
	return matrix, err
}

// tell prints what came of it.
func (e experiment) tell(ui terminal, matrix *clientsim.Matrix) error {
	if e.JSON {
		if err := ui.json(labRow(matrix)); err != nil {
			return err
		}
	} else {
		labScreen{ui}.matrix(matrix)
	}
	if matrix.Incomplete() {
		return exitStatus(exitUnclear)
	}
	return nil
}
