package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"postern/internal/lab"
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
	if e.Timeout <= 0 {
		return &usageError{err: fmt.Errorf("--timeout %v: want more than nothing", e.Timeout)}
	}
	for _, folder := range e.Peers {
		if entry, err := os.Stat(folder); err != nil {
			return &usageError{err: fmt.Errorf("--peers: %w", err)}
		} else if !entry.IsDir() {
			return &usageError{err: fmt.Errorf("--peers %s: want a folder", folder)}
		}
	}
	matrix, err := e.run(ui)
	if err != nil {
		return err
	}
	if err := e.tell(ui, matrix); err != nil {
		return err
	}
	if matrix.Incomplete() {
		return exitStatus(exitUnclear)
	}
	return nil
}

func (e experiment) run(ui terminal) (*lab.Matrix, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	line := newProgress(ui.err)
	defer line.Done()
	l := &lab.Lab{Peers: e.Peers, Timeout: e.Timeout, Progress: func(done, all int) {
		line.Say(fmt.Sprintf("%d of %d visits", done, all))
	}}
	matrix, err := l.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil, errors.New("stopped before all had visited")
	}
	return matrix, err
}

func (e experiment) tell(ui terminal, matrix *lab.Matrix) error {
	if e.HTML != "" {
		if err := writePage(e.HTML, matrix); err != nil {
			return err
		}
	}
	if e.JSON {
		return ui.json(labRow(matrix))
	}
	labScreen{ui}.matrix(matrix)
	return nil
}

func writePage(name string, matrix *lab.Matrix) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(matrix.WriteHTML(file), file.Close())
}
