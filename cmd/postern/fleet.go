package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/fleet"
	"postern/internal/jsonout"
	"postern/internal/safetext"
	"postern/internal/status"
	"postern/internal/terminal"
)

// fleetCmd lists the hosts of the fleet, and forgets those that were taken out.
type fleetCmd struct {
	List   fleetListCmd   `cmd:"" default:"withargs" help:"List the hosts of the fleet, and how they do."`
	Forget fleetForgetCmd `cmd:"" help:"Forget a host that was taken out for good."`
}

type fleetListCmd struct {
	ledgerFlags
	JSON bool `help:"Print one JSON object per line; see docs/json.md."`
}

// Help is called by kong.
func (fleetListCmd) Help() string {
	return `Lists the hosts that share with this one, as its server heard of them last: whether they share, their version, when they last said something, how far their clocks differ, and how old the key of session tickets is. What is wrong with a host, and what to do, is below it.

Exit status:

  0  all hosts share, or were stopped
  1  one does not
  2  wrong command line or configuration
  3  there is no fleet, or it is not known how the others do: the server here does not run, or its ledger cannot be read`
}

// Run is called by kong.
func (c fleetListCmd) Run(ui terminal.UI) error {
	now := time.Now()
	members, err := readHosts(c.ledgerFlags, now, ui)
	if err != nil {
		ui.Fail(err)
		return terminal.ExitUnclear // 1 would be that a host does not share
	}
	if len(members) == 0 {
		ui.Note("no fleet: there is no table [fleet] in the configuration, or its server has not started yet")
		return terminal.ExitUnclear
	}
	var result error
	for _, m := range members {
		if !c.JSON {
			printMember(ui, m, now)
		} else if err := ui.JSON(jsonout.NewFleetHost(m)); err != nil {
			return err
		}
		switch {
		case m.Health.Trouble():
			result = terminal.ExitFailed
		case m.Health == fleet.Unknown && result == nil:
			result = terminal.ExitUnclear
		}
	}
	if versions := fleet.Versions(members); len(versions) > 1 && !c.JSON {
		ui.Note("versions differ: " + safetext.Shorten(strings.Join(versions, ", "), 200))
	}
	return result
}

func readHosts(from ledgerFlags, now time.Time, ui terminal.UI) ([]fleet.Member, error) {
	book, err := from.open(ui)
	if err != nil {
		return nil, err
	}
	defer book.Close()
	return status.Hosts(context.Background(), book, now)
}

// printMember prints a host, and below it what is wrong and what to do.
func printMember(ui terminal.UI, m fleet.Member, now time.Time) {
	name := safetext.Shorten(m.Name, 60)
	if m.Self {
		name += " (this host)"
	}
	fmt.Fprintf(ui.Out, "%-32s %-16s %s\n", name, m.Health.Words(), safetext.Shorten(m.Version, 60))
	facts := []string{"heard " + localTime(m.Seen)}
	if !m.Started.IsZero() {
		facts = append(facts, "started "+localTime(m.Started))
	}
	if !m.KeySince.IsZero() {
		facts = append(facts, "ticket key "+fleet.Age(now.Sub(m.KeySince))+" old")
	}
	if behind := m.BehindBy(); behind != "" {
		facts = append(facts, behind+" behind")
	}
	if clock := m.Clock(); clock != "" {
		facts = append(facts, "clock "+clock)
	}
	ui.Paragraph("", strings.Join(facts, ", "))
	if m.Health.Trouble() {
		ui.Paragraph("why", safetext.Printable(m.Text()))
		ui.Paragraph("next", m.Next())
	}
}

type fleetForgetCmd struct {
	ledgerFlags
	Name string `arg:"" complete:"host" help:"Name of the host, as postern fleet lists it."`
}

// Help is called by kong.
func (fleetForgetCmd) Help() string {
	return `Makes all hosts forget one that is missing because it was taken out: no host lists it any more, and the alert that it is missing ends. By itself a host is forgotten after three days of silence. What it learned and saw stays with the others. One that runs all the same is back when it next says so.

It goes to NATS itself, not through the running server, so run it as a user that can read secret-file and credentials.

Exit status:

  0  the host is forgotten
  1  there is no such host, or it shares
  2  wrong command line or configuration, or no fleet in it
  3  NATS cannot be reached, or does not let this host in`
}

// Run is called by kong.
func (c fleetForgetCmd) Run(ui terminal.UI) error {
	loaded, err := config.Load(configFile(c.File), config.Flags{Data: c.Data}, new(certs.Files))
	if err != nil {
		return err
	}
	of := loaded.Fleet
	if !of.Enabled {
		return &terminal.UsageError{Err: errors.New("the configuration has no table [fleet]"), Hint: "name that of a host of the fleet with --config"}
	}
	members, err := readHosts(c.ledgerFlags, time.Now(), ui)
	if err != nil {
		return err
	}
	known := slices.IndexFunc(members, func(m fleet.Member) bool { return m.Name == c.Name })
	if known >= 0 && members[known].Health.Sharing() || c.Name == of.Name {
		return &terminal.HintedError{Err: fmt.Errorf("%s is there", safetext.Printable(c.Name)), Hint: "stop it first; it is missing a minute after it last said something"}
	}
	err = fleet.Forget(context.Background(), of.Access, c.Name)
	switch {
	case errors.Is(err, fleet.ErrUnknownHost):
		return &terminal.HintedError{Err: fmt.Errorf("%s: %w", safetext.Printable(c.Name), err), Hint: "postern fleet lists them"}
	case err != nil:
		ui.Error(fmt.Errorf("NATS: %w", err), "see the log of the server here; hosts forget by themselves after three days")
		return terminal.ExitUnclear
	}
	fmt.Fprintf(ui.Out, "forgot %s\n", safetext.Printable(c.Name))
	return nil
}
