// Postern is the TLS front door for inbound mail.
//
//	postern serve        receives mail
//	postern handshakes   shows who came and how it went
//	postern senders      shows and pins what senders are offered
//	postern probe        asks a server which senders it keeps out
//	postern dns          prints and checks the DNS records to publish
//	postern explain      explains packet captures and transcripts
//	postern report       takes TLS reports in and tells what they say and mean
//	postern cases        tells of the cases that are known
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

	"postern/internal/config"
	"postern/internal/terminal"
)

// root is the command line.
type root struct {
	Serve      serve            `cmd:"" help:"Receive mail."`
	Handshakes handshakes       `cmd:"" help:"Show who came and how it went, and explain what failed."`
	Senders    senders          `cmd:"" help:"Show who comes and what they are offered, and pin that."`
	Probe      probeCmd         `cmd:"" help:"Ask servers which senders they keep out."`
	DNS        dnsCmd           `cmd:"" name:"dns" help:"Print the DNS records to publish, and check them."`
	Explain    explain          `cmd:"" help:"Explain the handshakes of a packet capture or a transcript."`
	Report     reportCmd        `cmd:"" help:"Take TLS reports in, and tell what they say and mean."`
	Cases      cases            `cmd:"" help:"Tell of the cases that are known."`
	Version    kong.VersionFlag `help:"Show the version and exit."`
}

func main() {
	os.Exit(run(os.Args[1:], terminal.UI{
		Command: "postern",
		Usage:   "postern --help lists the commands, postern COMMAND --help their flags",
		Out:     os.Stdout,
		Err:     os.Stderr,
	}))
}

// run is the whole command. It returns the exit status.
func run(args []string, ui terminal.UI) int {
	parser := kong.Must(&root{},
		kong.Name("postern"),
		kong.Description("The TLS front door for inbound mail."),
		kong.Writers(ui.Out, ui.Err),
		kong.Vars{"version": ui.Version(), "data": config.DefaultData},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, WrapUpperBound: 100}),
		kong.Bind(ui),
	)
	context, err := parser.Parse(args)
	if err != nil {
		return fail(ui, &terminal.UsageError{Err: err})
	}
	return fail(ui, context.Run())
}
