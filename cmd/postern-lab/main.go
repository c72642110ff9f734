// Postern-lab runs Postern and other mail servers with test clients, on loopback.
//
//	postern-lab simulate   prints the compatibility matrix of clients and servers
//	postern-lab demo       runs a Postern whose dashboard has something to show
//
// Without a command it runs simulate.
//
// # Exit status
//
//	0    success; of simulate: every cell has a result
//	1    something failed
//	2    the command line is wrong
//	3    a cell is inconclusive, or a server did not start
package main

import (
	"os"

	"github.com/alecthomas/kong"

	"postern/internal/terminal"
)

// lab is the command line. Each command has a file.
type lab struct {
	Simulate simulateCmd `cmd:"" default:"withargs" help:"Run test clients against local mail servers; print the compatibility matrix."`
	Demo     demoCmd     `cmd:"" help:"Run a Postern with senders, to see its dashboard."`

	Version kong.VersionFlag `help:"Print the version and exit."`
}

const description = `Run mail servers with test clients, on 127.0.0.1.

Without a command it runs simulate.

Exit status:

  0  success; of simulate: every cell has a result
  1  something failed
  2  the command line is wrong
  3  a cell is inconclusive, or a server did not start`

func main() {
	os.Exit(int(run(os.Args[1:], terminal.UI{
		Command: "postern-lab",
		Usage:   "postern-lab --help lists the commands, postern-lab COMMAND --help their flags",
		Out:     os.Stdout,
		Err:     os.Stderr,
	})))
}

// run is the whole command. It returns the exit status.
func run(args []string, ui terminal.UI) terminal.ExitStatus {
	context, err := newParser(ui).Parse(args)
	if err != nil {
		return ui.Fail(&terminal.UsageError{Err: err})
	}
	return ui.Fail(context.Run())
}

func newParser(ui terminal.UI) *kong.Kong {
	return kong.Must(&lab{},
		kong.Name(ui.Command),
		kong.Description(description),
		kong.Writers(ui.Out, ui.Err),
		kong.Vars{"version": ui.Version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Bind(ui),
		terminal.Durations,
		terminal.HelpFlag,
	)
}
