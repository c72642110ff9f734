// Postern is the TLS front door for inbound mail.
//
//	postern serve     receives mail
//
// # Exit status
//
//	0    all is well
//	1    something failed, or something was found that should not be so
//	2    the command line or the configuration is wrong
//	3    it could not be told, since something did not answer
package main

import (
	"os"

	"github.com/alecthomas/kong"
)

// root is the command line.
type root struct {
	Serve   serve            `cmd:"" help:"Receive mail."`
	Version kong.VersionFlag `help:"Show the version and exit."`
}

func main() {
	os.Exit(run(os.Args[1:], terminal{out: os.Stdout, err: os.Stderr}))
}

// run is the whole command. It returns the exit status.
func run(args []string, ui terminal) int {
	parser := kong.Must(&root{},
		kong.Name("postern"),
		kong.Description("The TLS front door for inbound mail."),
		kong.Writers(ui.out, ui.err),
		kong.Vars{"version": version()},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Bind(ui),
	)
	context, err := parser.Parse(args)
	if err != nil {
		return ui.fail(&usageError{err})
	}
	return ui.fail(context.Run())
}
