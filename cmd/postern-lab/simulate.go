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
	"postern/internal/terminal"
)

// simulateCmd runs the client simulation.
type simulateCmd struct {
	Peers   []string      `placeholder:"FOLDER" sep:"none" help:"Run real mail servers too: mox and maddy as mox-VERSION and maddy-VERSION in this folder; chasquid, Exim, OpenSMTPD, Postfix and nginx from there, PATH or /usr/sbin. Repeatable."`
	Timeout time.Duration `default:"10m" placeholder:"TIME" help:"Spend at most this time. Default: ${default}."`
	HTML    string        `name:"html" placeholder:"FILE" help:"Also write one page in which each cell opens its handshakes."`
	JSON    bool          `help:"Print one JSON object; docs/json.md explains the fields."`
}

// Help is called by kong.
func (simulateCmd) Help() string {
	return `Personas, which behave as known senders do, and OpenSSL, GnuTLS and swaks if they are installed, connect to mail servers on 127.0.0.1: go-smtp unmodified, with Go's own session tickets; over the gate, in several modes; and without tickets. A client that is given a session connects again and offers it. No mail is sent. All servers are stopped at the end.

Servers that are not installed, or that start only as root, are listed as missing.`
}

// Run is called by kong.
func (s simulateCmd) Run(ui terminal.UI) error {
	if err := s.check(); err != nil {
		return &terminal.UsageError{Err: err}
	}
	page, err := createPage(s.HTML)
	if err != nil {
		return err
	}
	matrix, err := s.simulate(ui)
	if err != nil {
		return err
	}
	if err := errors.Join(matrix.WriteHTML(page), page.Close()); err != nil {
		return err
	}
	if s.HTML != "" {
		ui.Note("wrote the page to " + s.HTML)
	}
	if s.JSON {
		err = ui.JSON(toJSON(matrix))
	} else {
		printMatrix(ui, matrix)
	}
	if err == nil && matrix.Incomplete() {
		return terminal.ExitUnclear
	}
	return err
}

func (s simulateCmd) check() error {
	if s.Timeout <= 0 {
		return fmt.Errorf("--timeout %v: want more than 0s", s.Timeout)
	}
	for _, folder := range s.Peers {
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

// createPage creates the file before the simulation, which takes a while. Without a name
// the page is discarded.
func createPage(name string) (*os.File, error) {
	if name == "" {
		name = os.DevNull
	}
	return os.Create(name)
}

func (s simulateCmd) simulate(ui terminal.UI) (*clientsim.Matrix, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	line := terminal.NewProgress(ui.Err)
	defer line.Done()
	simulation := &clientsim.Simulation{Peers: s.Peers, Timeout: s.Timeout, Progress: func(done, all int) {
		line.Set(fmt.Sprintf("%d of %d cells done", done, all))
	}}
	matrix, err := simulation.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil, errors.New("interrupted: no matrix")
	}
	return matrix, err
}
