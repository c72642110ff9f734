package main

import (
	"context"
	"fmt"

	"postern/internal/setup"
	"postern/internal/terminal"
)

// setupCmd plans how Postern comes in front of the mail server of this machine.
type setupCmd struct {
	Hostname string   `placeholder:"NAME" help:"Name of this machine in the MX records. Default: what is found."`
	Domain   []string `placeholder:"DOMAIN" sep:"none" help:"Receive mail for this domain. Repeatable. Default: those of the mail server."`
	Write    bool     `help:"Write Postern's own files, in /etc/postern. What exists with another content stays."`
}

// Help is called by kong.
func (setupCmd) Help() string {
	return `Looks at this machine (names, addresses, MX records, what listens on port 25, certificates, and Postfix, Exim, OpenSMTPD, Dovecot, maddy or chasquid) and prints the plan to put Postern in front of its mail server: a shell script for root, whose comments explain and whose commands do. It has Postern's configuration, the commands for the mail server, the DNS records, and how to go back.

Nothing is changed. With --write, Postern's own files are written; the rest is left to you:

  postern setup > plan.sh    read it, then run it as root:  sh -ex plan.sh

Exit status:

  0  there is a plan
  1  there is none: something is not known, or not supported
  2  wrong command line`
}

// Run is called by kong.
func (c setupCmd) Run(ui terminal.UI) error {
	options := setup.Options{Hostname: c.Hostname, Domains: c.Domain}
	if err := options.Check(); err != nil {
		return &terminal.UsageError{Err: err, Hint: "write a whole name, such as mx.example.org"}
	}
	plan, err := setup.Look(context.Background(), options).Plan()
	if err != nil {
		return err
	}
	var written []string
	if c.Write {
		if written, err = plan.Write(); err != nil {
			return err
		}
		for _, path := range written {
			ui.Note("wrote " + path)
		}
	}
	_, err = fmt.Fprint(ui.Out, plan.Script(written))
	return err
}
