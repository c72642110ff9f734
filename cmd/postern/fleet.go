package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postern/internal/fleet"
	"postern/internal/jsonout"
	"postern/internal/safetext"
	"postern/internal/status"
	"postern/internal/terminal"
)

// fleetCmd lists the hosts of the fleet.
type fleetCmd struct {
	ledgerFlags
	JSON bool `help:"Print one JSON object per line; see docs/json.md."`
}

// Help is called by kong.
func (fleetCmd) Help() string {
	return `Lists the hosts that share with this one, as its server heard of them last: whether they share, their version, when they last said something, how far their clocks differ, and how old the key of session tickets is. What is wrong with a host, and what to do, is below it.

Exit status:

  0  all hosts share, or were stopped
  1  one does not
  2  wrong command line or configuration
  3  there is no fleet, or it is not known how the others do: the server here does not run, or its ledger cannot be read`
}

// Run is called by kong.
func (c fleetCmd) Run(ui terminal.UI) error {
	now := time.Now()
	members, err := c.read(now, ui)
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

func (c fleetCmd) read(now time.Time, ui terminal.UI) ([]fleet.Member, error) {
	book, err := c.open(ui)
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
