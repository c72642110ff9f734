package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"postern/internal/alert"
	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/server"
	"postern/internal/terminal"
)

// alertsCmd lists and acknowledges alerts, and tries their channels.
type alertsCmd struct {
	List alertsListCmd `cmd:"" default:"withargs" help:"List alerts, the open ones first."`
	Ack  alertsAckCmd  `cmd:"" help:"Acknowledge an alert: it is not repeated."`
	Test alertsTestCmd `cmd:"" help:"Send a test by each channel of the configuration."`
}

type alertsListCmd struct {
	ledgerFlags
	hostFlag
	Since since `complete:"age" default:"7d" placeholder:"TIME" help:"Also alerts that ended since then: an age (90m, 24h, 7d) or a date. Default: ${default}."`
	Open  bool  `help:"Only alerts that are open."`
	Limit limit `default:"100" placeholder:"N" help:"Print at most this many, up to 10000. Default: ${default}."`
	JSON  bool  `help:"Print one JSON object per line; see docs/json.md."`
}

// Help is called by kong.
func (alertsListCmd) Help() string {
	return `Lists what is wrong and what was: senders that stopped delivering or fell back to plaintext, certificates, policies, the next hop, the ledger. A running server looks for alerts every minute, and sends them if the configuration has a table [alerts].

Exit status:

  0  no alert is open
  1  an alert is open, or something failed`
}

// Run is called by kong.
func (a alertsListCmd) Run(ui terminal.UI) error {
	book, err := a.openAt(a.hostFlag, ui)
	if err != nil {
		return err
	}
	defer book.Close()
	filter := ledger.AlertFilter{Since: a.Since.Time, Limit: a.Limit.query()}
	if a.Open {
		filter = openAlerts(filter.Limit)
	}
	filter.Host = a.Host
	found, err := book.Alerts(context.Background(), filter)
	if err != nil {
		return err
	}
	found = cut(ui, found, a.Limit)
	if len(found) == 0 {
		ui.Note("no alerts")
	}
	open := false
	for _, one := range found {
		open = open || one.Ended.IsZero()
		if !a.JSON {
			printAlert(ui, one)
		} else if err := ui.JSON(jsonout.NewAlert(one)); err != nil {
			return err
		}
	}
	if open {
		return terminal.ExitFailed
	}
	return nil
}

// openAlerts selects the alerts that are open.
func openAlerts(limit int) ledger.AlertFilter {
	return ledger.AlertFilter{Since: time.Now().Add(time.Hour), Limit: limit} // none has ended then
}

// printAlert prints an alert: what it is, since when, and what to do.
func printAlert(ui terminal.UI, a ledger.Alert) {
	state := "open since " + localTime(a.Since)
	if !a.Ended.IsZero() {
		state = fmt.Sprintf("ended %s, since %s", localTime(a.Ended), localTime(a.Since))
	}
	fmt.Fprintf(ui.Out, "%d  %s%s\n", a.ID, alert.Kind(a.Kind).Heading(a.Subject), atHost(a.Host))
	ui.Paragraph("", state)
	if !a.Ended.IsZero() {
		return
	}
	if !a.Acknowledged.IsZero() {
		ui.Paragraph("", "acknowledged "+localTime(a.Acknowledged)+" by "+a.By)
	}
	if !a.Gone.IsZero() {
		ui.Paragraph("", "its cause is gone since "+localTime(a.Gone)+"; it ends soon, unless that comes back")
	}
	ui.Paragraph("", a.Text)
	ui.Paragraph("next step", a.Next)
}

type alertsAckCmd struct {
	ledgerFlags
	Alert alertNumber `arg:"" complete:"alert" help:"Number of an open alert, as postern alerts lists it."`
}

// Run is called by kong.
func (a alertsAckCmd) Run(ui terminal.UI) error {
	err := ledger.AcknowledgeAlert(context.Background(), a.path(), int64(a.Alert), userName(), time.Now())
	switch {
	case errors.Is(err, ledger.ErrNoAlert):
		return &terminal.HintedError{Err: err, Hint: "postern alerts lists the open alerts"}
	case err != nil:
		return a.hinted(err)
	}
	fmt.Fprintf(ui.Out, "acknowledged alert %d; its end is still reported\n", a.Alert)
	return nil
}

// An alertNumber is the number of an alert.
type alertNumber int64

// UnmarshalText is called by kong.
func (n *alertNumber) UnmarshalText(text []byte) error {
	number, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not the number of an alert", text)
	}
	*n = alertNumber(number)
	return nil
}

// userName is who runs the command, as far as the system says.
func userName() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "operator"
}

type alertsTestCmd struct {
	File string `name:"config" placeholder:"FILE" help:"Use the channels of this configuration of postern serve. Default: ${config}, if there is one."`
}

// Help is called by kong.
func (alertsTestCmd) Help() string {
	return `Sends a message that says that it is a test by each channel of the table [alerts]: mail, webhook, command. It does so itself, not through the running server, so run it as the user that Postern runs as.

Exit status:

  0  every channel took the message
  1  a channel failed
  2  wrong command line or configuration, or no channel in it`
}

// Run is called by kong.
func (a alertsTestCmd) Run(ui terminal.UI) error {
	c, err := config.Load(configFile(a.File), config.Flags{}, new(certs.Files))
	if err != nil {
		return err
	}
	if !c.Alerts.Enabled {
		return &terminal.UsageError{Err: errors.New("the configuration has no table [alerts], so no alert is sent"), Hint: "add one, see docs/alerts.md; or name another configuration with --config"}
	}
	hop, err := server.NextHop(c, slog.New(slog.DiscardHandler))
	if err != nil {
		return cannotWrite(c, err)
	}
	failed := false
	for _, channel := range server.Channels(c, hop) {
		if err := channel.Tell(context.Background(), alert.Test(c.Hostname, time.Now())); err != nil {
			failed = true
			ui.Error(fmt.Errorf("%s: %w", channel.Name(), err), "")
			continue
		}
		fmt.Fprintf(ui.Out, "%s: sent\n", channel.Name())
	}
	if failed {
		return terminal.ExitFailed
	}
	return nil
}
