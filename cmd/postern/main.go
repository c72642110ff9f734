// Postern is the TLS front door for inbound mail.
//
//	postern setup        plans how Postern comes in front of the mail server here
//	postern serve        receives mail
//	postern doctor       examines the server here, and says what to do
//	postern status       says who cannot deliver, and what to do
//	postern dashboard    prints a link that logs a browser in
//	postern handshakes   shows handshakes and explains failed ones
//	postern senders      shows senders and their TLS mode, and pins it
//	postern refusals     lists refused and deferred mail, and who refused it
//	postern fleet        lists the hosts of the fleet, and how they do
//	postern alerts       lists alerts, acknowledges them, tests their channels
//	postern probe        reports which senders cannot deliver to a server
//	postern dns          prints and checks the DNS records to publish
//	postern explain      explains packet captures and transcripts
//	postern report       receives, shows and explains TLS reports
//	postern cases        lists known client failures
//	postern help         prints help for a command
//	postern version      prints which build this is
//
// # Exit status
//
//	0    success: nothing failed, no problem found
//	1    something failed, or a problem was found
//	2    wrong command line or configuration
//	3    inconclusive: something did not answer
package main

import (
	"errors"
	"os"

	"github.com/alecthomas/kong"

	"postern/internal/config"
	"postern/internal/terminal"
)

// root is the command line. Each command has a file: its flags, and a Run that calls the
// packages that do the work. *_output.go prints the results for people, package jsonout for
// programs; nothing else knows how a screen looks.
type root struct {
	Setup      setupCmd      `cmd:"" help:"Plan how Postern comes in front of the mail server here."`
	Serve      serveCmd      `cmd:"" help:"Receive mail."`
	Doctor     doctorCmd     `cmd:"" help:"Examine the server here, and say what to do."`
	Status     statusCmd     `cmd:"" help:"Say who cannot deliver, since when, why, and what to do."`
	Dashboard  dashboardCmd  `cmd:"" help:"Print a link to the dashboard."`
	Handshakes handshakesCmd `cmd:"" help:"Show handshakes and explain failed ones."`
	Senders    sendersCmd    `cmd:"" help:"Show senders and their TLS mode; pin it."`
	Refusals   refusalsCmd   `cmd:"" help:"List refused and deferred mail, and who refused it."`
	Fleet      fleetCmd      `cmd:"" help:"List the hosts of the fleet, and how they do; forget one."`
	Alerts     alertsCmd     `cmd:"" help:"List alerts, acknowledge them, test their channels."`
	Probe      probeCmd      `cmd:"" help:"Report which senders cannot deliver to a server."`
	DNS        dnsCmd        `cmd:"" name:"dns" help:"Print and check the DNS records to publish."`
	Explain    explainCmd    `cmd:"" help:"Explain the handshakes in a packet capture or transcript."`
	Report     reportCmd     `cmd:"" help:"Store, show and explain TLS reports."`
	Cases      casesCmd      `cmd:"" help:"List known client failures."`
	Help       helpCmd       `cmd:"" help:"Print help for a command."`
	Version    versionCmd    `cmd:"" help:"Print which build this is."`
	Complete   completeCmd   `cmd:"" hidden:"" passthrough:"" help:"Complete a command line for a shell."`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version and exit."`
}

func main() {
	os.Exit(int(run(os.Args[1:], terminal.UI{
		Command: "postern",
		Usage:   "postern --help lists the commands, postern COMMAND --help their flags",
		Out:     os.Stdout,
		Err:     os.Stderr,
	})))
}

const description = `The TLS front door for inbound mail.

Postern receives mail from other servers, over TLS, and passes it to the mail server behind it while the sender waits, or stores it in a Maildir. Where a sender fails in the TLS handshake, it says why and what to do, and answers that sender's next attempt in a more compatible way.

Examples:

  postern serve                 receive mail on 127.0.0.1:2525, to try it
  postern status                who cannot deliver, and what to do
  postern handshakes --failed   the failed handshakes of the last day
  postern probe example.org     which senders can deliver to a domain

Exit status, if a command does not list its own:

  0  success: nothing failed, no problem found
  1  something failed, or a problem was found
  2  wrong command line or configuration
  3  inconclusive: something did not answer`

// run runs the command and returns the exit status.
func run(args []string, ui terminal.UI) terminal.ExitStatus {
	context, err := newParser(ui).Parse(args)
	if problems := config.Problems(nil); errors.As(err, &problems) {
		return fail(ui, problems)
	}
	if err != nil {
		return fail(ui, &terminal.UsageError{Err: err, Hint: usageHint(err)})
	}
	return fail(ui, context.Run())
}

func newParser(ui terminal.UI) *kong.Kong {
	return kong.Must(&root{},
		kong.Name("postern"),
		kong.Description(description),
		kong.Writers(ui.Out, ui.Err),
		kong.Vars{"version": ui.Version(), "data": config.DefaultData, "config": serviceConfig},
		kong.ConfigureHelp(helpOptions),
		kong.Help(printHelp),
		kong.Bind(ui),
		terminal.Durations,
		terminal.HelpFlag,
	)
}
