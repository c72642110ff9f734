package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/doctor"
	"postern/internal/jsonout"
	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/smtp"
	"postern/internal/terminal"
)

// doctorCmd examines the server of this machine.
type doctorCmd struct {
	Config   string        `placeholder:"FILE" help:"Examine the server with this configuration. Default: ${config}, if there is one."`
	Deliver  string        `placeholder:"ADDRESS" help:"Send a test message to this address, look for it in the mailbox, and remove it."`
	Resolver string        `placeholder:"ADDR" help:"Ask this DNS server. Default: the system's."`
	Timeout  time.Duration `default:"5m" placeholder:"TIME" help:"Spend at most this time. Default: ${default}."`
	Verbose  bool          `short:"v" xor:"form" help:"Show all findings, with evidence."`
	JSON     bool          `xor:"form" help:"Print one JSON object; see docs/json.md."`
}

// Help is called by kong.
func (doctorCmd) Help() string {
	return `Examines the server of this machine: configuration, ports, process, certificates, rights, disk, clock, what senders see, whether the next hop takes mail, learns who the sender is and relays nothing, DNS records and MX hosts. Each finding has its remedy. Run it as root, on the server.

It sends no mail unless --deliver is given. That message goes the way of any sender's; its Received fields show which client the next hop saw.

Exit status:

  0  no problem found
  1  warning
  2  critical, or a wrong command line
  3  inconclusive: something did not answer`
}

// Run is called by kong.
func (c doctorCmd) Run(ui terminal.UI) error {
	if c.Deliver != "" {
		if err := (&persona.TestMessage{To: c.Deliver}).Check(); err != nil {
			return &terminal.UsageError{Err: err}
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	began := time.Now()
	findings, err := c.examine(ctx, ui)
	if err != nil {
		return err
	}
	status := probeStatus{worst: findings[0].Severity}
	if c.JSON {
		err = ui.JSON(jsonout.NewExamination(began, status.worst, findings))
	} else {
		screen := probeScreen{ui, c.Verbose}
		fmt.Fprintf(ui.Out, "%s\n", severityCounts(findings))
		screen.findings(findings)
		screen.ok(findings)
	}
	if err != nil {
		return err
	}
	return status.monitoring()
}

// receives reports whether an address is in a domain of the configuration.
func receives(c *config.Config, address string) bool {
	return slices.Contains(c.DomainNames(), smtp.MailboxDomain(address))
}

// examine returns the findings, at least one.
func (c doctorCmd) examine(ctx context.Context, ui terminal.UI) ([]probe.Finding, error) {
	file := configFile(c.Config)
	if data, err := config.DataFolder(file); err == nil { // else Load says what is wrong
		if denied, ok := doctor.Denied(data, os.Geteuid()); ok {
			return []probe.Finding{denied}, nil
		}
	}
	loaded, err := config.Load(file, config.Flags{}, new(certs.Files))
	var problems config.Problems
	if errors.As(err, &problems) {
		return doctor.Broken(problems), nil
	}
	if err != nil {
		return nil, err
	}
	if c.Deliver != "" && !receives(loaded, c.Deliver) {
		return nil, &terminal.UsageError{Err: fmt.Errorf("%s is not an address in a domain of the configuration", c.Deliver),
			Hint: "the test message is for a mailbox of yours, in " + config.Summary(loaded.Domains)}
	}
	key, err := localKey(loaded.Data)
	if err != nil {
		return nil, err
	}
	shown := terminal.NewProgress(ui.Err)
	defer shown.Done()
	shown.Set("postern: examining this server")
	return doctor.Examine(ctx, loaded, doctor.Options{Resolver: c.Resolver, Key: key, Deliver: c.Deliver, UserID: os.Geteuid()}), nil
}
