// Postern-lab is a client simulation: it runs personas and real clients against local
// mail servers and prints the compatibility matrix.
//
// # Exit status
//
//	0    every cell has a result
//	1    something failed
//	2    the command line is wrong
//	3    a cell is inconclusive, or a server did not start
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"postern/internal/clientsim"
	"postern/internal/terminal"
)

// lab is the command line.
type lab struct {
	Peers   []string         `placeholder:"FOLDER" sep:"none" help:"Run real mail servers too: mox and maddy as mox-VERSION and maddy-VERSION in this folder; chasquid, Exim, OpenSMTPD, Postfix and nginx from there, PATH or /usr/sbin. Repeatable."`
	Timeout time.Duration    `default:"10m" placeholder:"TIME" help:"Spend at most this time. Default: ${default}."`
	HTML    string           `name:"html" placeholder:"FILE" help:"Also write one page in which each cell opens its handshakes."`
	JSON    bool             `help:"Print one JSON object; docs/json.md explains the fields."`
	Version kong.VersionFlag `help:"Print the version and exit."`
}

const description = `Run test clients against local mail servers; print the compatibility matrix.

Personas, which behave as known senders do, and OpenSSL, GnuTLS and swaks if they are
installed, connect to mail servers on 127.0.0.1: go-smtp unmodified, with Go's own session
tickets; over the gate, in several modes; and without tickets. A client that is given a
session connects again and offers it. No mail is sent. All servers are stopped at the end.

Servers that are not installed, or that start only as root, are listed as missing.

Exit status: 0 every cell has a result, 1 failure, 2 wrong command line, 3 a cell is
inconclusive or a server did not start.`

func main() {
	os.Exit(int(run(os.Args[1:], terminal.UI{
		Command: "postern-lab",
		Usage:   "postern-lab --help lists the flags",
		Out:     os.Stdout,
		Err:     os.Stderr,
	})))
}

// run is the whole command. It returns the exit status.
func run(args []string, ui terminal.UI) terminal.ExitStatus {
	var l lab
	parser := kong.Must(&l,
		kong.Name(ui.Command),
		kong.Description(description),
		kong.Writers(ui.Out, ui.Err),
		kong.Vars{"version": ui.Version()},
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 100}),
	)
	if _, err := parser.Parse(args); err != nil {
		return ui.Fail(&terminal.UsageError{Err: err})
	}
	return ui.Fail(l.run(ui))
}

func (l lab) run(ui terminal.UI) error {
	if err := l.check(); err != nil {
		return &terminal.UsageError{Err: err}
	}
	page, err := createPage(l.HTML)
	if err != nil {
		return err
	}
	matrix, err := l.simulate(ui)
	if err != nil {
		return err
	}
	if err := errors.Join(matrix.WriteHTML(page), page.Close()); err != nil {
		return err
	}
	if l.HTML != "" {
		ui.Note("wrote the page to " + l.HTML)
	}
	if l.JSON {
		err = ui.JSON(toJSON(matrix))
	} else {
		printMatrix(ui, matrix)
	}
	if err == nil && matrix.Incomplete() {
		return terminal.ExitUnclear
	}
	return err
}

func (l lab) check() error {
	if l.Timeout <= 0 {
		return fmt.Errorf("--timeout %v: want more than 0s", l.Timeout)
	}
	for _, folder := range l.Peers {
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

func (l lab) simulate(ui terminal.UI) (*clientsim.Matrix, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	line := terminal.NewProgress(ui.Err)
	defer line.Done()
	s := &clientsim.Simulation{Peers: l.Peers, Timeout: l.Timeout, Progress: func(done, all int) {
		line.Set(fmt.Sprintf("%d of %d cells done", done, all))
	}}
	matrix, err := s.Run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil, errors.New("interrupted: no matrix")
	}
	return matrix, err
}
