package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"postern/internal/fallback"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/sessionticket"
)

// sendersCmd shows senders and pins their TLS mode.
type sendersCmd struct {
	List  sendersListCmd  `cmd:"" default:"withargs" help:"List senders, those with the most sessions first."`
	Show  sendersShowCmd  `cmd:"" help:"Show a sender's sessions by day, pins and changes of TLS mode."`
	Pin   sendersPinCmd   `cmd:"" help:"Pin the senders of a network to a TLS mode."`
	Unpin sendersUnpinCmd `cmd:"" help:"Remove a pin."`
}

type sendersListCmd struct {
	ledgerFlags
	hostFlag
	Since    since  `complete:"age" default:"7d" placeholder:"TIME" help:"Only senders with sessions since then: an age (90m, 24h, 7d) or a date. Default: ${default}."`
	Sender   string `complete:"sender" placeholder:"SENDER" help:"Only this address, network, or part of an EHLO name."`
	Failed   bool   `help:"Only senders with failed handshakes."`
	Returned bool   `help:"Only senders that retried in plaintext after a failed handshake."`
	Limit    limit  `default:"100" placeholder:"N" help:"Print at most this many, up to 10000. Default: ${default}."`
	JSON     bool   `help:"Print one JSON object per line; see docs/json.md."`
}

// Help is called by kong.
func (sendersListCmd) Help() string {
	return `A line is a sender: a network and an EHLO name, with its full, resumed and failed handshakes and its sessions in plaintext. A sender that retried without TLS after a failed handshake is marked.

Examples:

  postern senders --failed
  postern senders show mail.example.net
  postern senders pin 192.0.2.0/24 tls12 --why 'until they upgrade'`
}

// Run is called by kong.
func (s sendersListCmd) Run(ui terminal.UI) error {
	book, err := s.openAt(s.hostFlag, ui)
	if err != nil {
		return err
	}
	defer book.Close()
	found, err := book.Senders(context.Background(), ledger.Filter{
		Host: s.Host, Since: s.Since.Time, Sender: s.Sender, Failed: s.Failed, Returned: s.Returned, Limit: s.Limit.query(),
	})
	if err != nil {
		return err
	}
	found = cut(ui, found, s.Limit)
	if s.JSON {
		for _, sender := range found {
			if err := ui.JSON(sender); err != nil {
				return err
			}
		}
		return nil
	}
	if len(found) == 0 {
		ui.Note("no senders since " + localTime(s.Since.Time))
		return nil
	}
	printSenders(ui, found)
	return nil
}

type sendersPinCmd struct {
	ledgerFlags
	Network string `arg:"" complete:"network" help:"Address or network, such as 192.0.2.0/24."`
	Mode    string `arg:"" complete:"mode" help:"TLS mode: own-write, first-write, no-ticket, tls12 or stock."`
	Why     string `required:"" placeholder:"TEXT" help:"Reason for the pin, shown with it."`
}

// Help is called by kong.
func (sendersPinCmd) Help() string {
	return `A pinned sender is always answered in that mode; Postern learns nothing from its handshakes. The modes:

  own-write    session ticket in a write of its own after the sender's Finished
  first-write  ticket with the first reply after it
  no-ticket    no ticket, so no resumption
  tls12        TLS 1.2 at most, without tickets
  stock        ticket before the sender's Finished, as Go does it: some senders fail then`
}

// Run is called by kong.
func (s sendersPinCmd) Run(ui terminal.UI) error {
	network, err := fallback.ParseNetwork(s.Network)
	if err != nil {
		return &terminal.UsageError{Err: err}
	}
	var mode sessionticket.Mode
	if err := mode.UnmarshalText([]byte(s.Mode)); err != nil {
		return &terminal.UsageError{Err: fmt.Errorf("expected a TLS mode, got %q", s.Mode), Hint: "use own-write, first-write, no-ticket, tls12 or stock"}
	}
	pin := fallback.Pin{Network: network, Mode: mode, Why: s.Why, Since: time.Now()}
	if err := ledger.SetPin(context.Background(), s.path(), pin); err != nil {
		return s.hinted(err)
	}
	fmt.Fprintf(ui.Out, "pinned %s to mode %s in %s; a running server applies it within two seconds\n", network, mode, s.path())
	return nil
}

type sendersUnpinCmd struct {
	ledgerFlags
	Network string `arg:"" complete:"pin" help:"Address or network, as pinned."`
}

// Run is called by kong.
func (s sendersUnpinCmd) Run(ui terminal.UI) error {
	network, err := fallback.ParseNetwork(s.Network)
	if err != nil {
		return &terminal.UsageError{Err: err}
	}
	switch err := ledger.RemovePin(context.Background(), s.path(), network, time.Now()); {
	case errors.Is(err, ledger.ErrNoPin):
		return &terminal.HintedError{Err: err, Hint: "list the pins of a network with postern senders show NETWORK"}
	case err != nil:
		return s.hinted(err)
	}
	fmt.Fprintf(ui.Out, "removed the pin of %s from %s\n", network, s.path())
	return nil
}

type sendersShowCmd struct {
	ledgerFlags
	hostFlag
	Sender string `arg:"" complete:"sender" help:"Address, network, or part of an EHLO name."`
	Since  since  `complete:"age" default:"30d" placeholder:"TIME" help:"Only sessions since then: an age or a date. Default: ${default}."`
	JSON   bool   `help:"Print one JSON object; see docs/json.md."`
}

// Run is called by kong.
func (s sendersShowCmd) Run(ui terminal.UI) error {
	book, err := s.openAt(s.hostFlag, ui)
	if err != nil {
		return err
	}
	defer book.Close()
	history, err := book.SenderHistory(context.Background(), ledger.Filter{Host: s.Host, ByHost: true, Since: s.Since.Time, Sender: s.Sender, Limit: maxRows})
	if err != nil {
		return err
	}
	if s.JSON {
		return ui.JSON(jsonout.NewSenderHistory(history))
	}
	if history.Empty() {
		ui.Note(fmt.Sprintf("no sender matches %s since %s", safetext.Printable(s.Sender), localTime(s.Since.Time)))
		return nil
	}
	printSender(ui, history)
	return nil
}

// printSender prints what the ledger has about a sender.
func printSender(ui terminal.UI, s ledger.SenderHistory) {
	if len(s.Senders) > 0 {
		printSenders(ui, s.Senders)
	}
	for _, p := range s.Pins {
		fmt.Fprintf(ui.Out, "\npinned        %s to mode %s since %s: %s\n", p.Network, p.Mode, localTime(p.Since), safetext.Printable(p.Why))
	}
	if len(s.Days) > 0 {
		fmt.Fprintln(ui.Out, "\nday (UTC)     negotiated")
	}
	for _, d := range s.Days {
		fmt.Fprintf(ui.Out, "%s    %s\n", d.Day.Format(time.DateOnly), dayText(d))
	}
	if len(s.Decisions) > 0 {
		fmt.Fprintln(ui.Out, "\nchanges of TLS mode")
	}
	for _, d := range s.Decisions {
		fmt.Fprintf(ui.Out, "%-24s %s, from %s to %s%s\n", localTime(d.At), d.Kind, d.From, d.To, atHost(d.Host))
		ui.Paragraph("", safetext.Printable(d.Why))
	}
	if len(s.Failed) > 0 {
		fmt.Fprintln(ui.Out, "\nlast failed handshakes (details: postern handshakes show ID)")
	}
	for _, h := range s.Failed {
		fmt.Fprintln(ui.Out, handshakeLine(h))
	}
	if len(s.Refusals) > 0 {
		fmt.Fprintln(ui.Out, "\nlast refused and deferred commands (all: postern refusals --sender)")
	}
	for _, r := range s.Refusals {
		printRefusal(ui, r)
	}
}

func dayText(d ledger.Day) string {
	counts := fmt.Sprintf("%d full, %d resumed, %d failed, %d in plaintext", d.Full, d.Resumed, d.Failed, d.Plaintext)
	if d.Version == 0 {
		return counts
	}
	return fmt.Sprintf("%s, %s, %s: %s", d.Version, d.Suite, d.Group, counts)
}

const senderFormat = "%-20s  %-28s  %8s  %8s  %8s  %9s  %-21s  %s"

var senderHead = strings.TrimRight(fmt.Sprintf(senderFormat, "network", "ehlo", "full", "resumed", "failed", "plaintext", "last seen", ""), " ")

// printSenders prints the table of senders.
func printSenders(ui terminal.UI, all []ledger.Sender) {
	type name struct {
		network    netip.Prefix
		ehlo, host string
	}
	rows := make(map[name]int)
	for _, s := range all {
		rows[name{s.Network, s.EHLO, s.Host}]++
	}
	fmt.Fprintln(ui.Out, senderHead)
	for _, s := range all {
		fmt.Fprintln(ui.Out, senderLine(s, rows[name{s.Network, s.EHLO, s.Host}] > 1))
	}
}

// senderLine is a sender in a line of the table. Only rows that look the same have the
// fingerprint in which they differ.
func senderLine(s ledger.Sender, same bool) string {
	var notes []string
	if s.Host != "" {
		notes = append(notes, strings.TrimSpace(atHost(s.Host)))
	}
	if s.Returned > 0 {
		notes = append(notes, fmt.Sprintf("retried without TLS %d×", s.Returned))
	}
	if same && s.Fingerprint != "" {
		notes = append(notes, "JA4 "+safetext.Shorten(s.Fingerprint, 40))
	}
	count := func(n int64) string {
		if n == 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	line := fmt.Sprintf(senderFormat, s.Network, safetext.Shorten(s.EHLO, 28), count(s.Full), count(s.Resumed),
		count(s.Failed), count(s.Plaintext), s.Last.Local().Format("2006-01-02 15:04 MST"), strings.Join(notes, ", "))
	return strings.TrimRight(line, " ")
}
