package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/failure"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// handshakesCmd shows handshakes in the ledger.
type handshakesCmd struct {
	List handshakesListCmd `cmd:"" default:"withargs" help:"List handshakes, the newest first."`
	Show handshakesShowCmd `cmd:"" help:"Show a handshake as a diagram, with its diagnosis and remedy."`
}

type handshakesListCmd struct {
	ledgerFlags
	hostFlag
	Since  since  `complete:"age" default:"24h" placeholder:"TIME" help:"Only handshakes since then: an age (90m, 24h, 7d) or a date. Default: ${default}."`
	Sender string `complete:"sender" placeholder:"SENDER" help:"Only this address, network, or part of an EHLO name."`
	Case   string `complete:"anycase" placeholder:"ID" help:"Only failed handshakes of this case; unknown means without a case."`
	Failed bool   `help:"Only failed handshakes."`
	Probes bool   `help:"Also those of recognised probes; see postern probe --probe-key."`
	Limit  limit  `default:"100" placeholder:"N" help:"Print at most this many, up to 10000. Default: ${default}."`
	Follow bool   `help:"Print new handshakes as they happen, the oldest first."`
	JSON   bool   `help:"Print one JSON object per line; see docs/json.md."`
}

// Help is called by kong.
func (handshakesListCmd) Help() string {
	return `A line has the time, the session's ID, in a fleet the host, the sender's address and EHLO name, the outcome (full, resumed, failed or plaintext), and what is known of it: the TLS version and mode, or the case and where the handshake stopped.

Examples:

  postern handshakes --failed --since 7d
  postern handshakes --sender 192.0.2.0/24
  postern handshakes --follow`
}

// Run is called by kong.
func (h handshakesListCmd) Run(ui terminal.UI) error {
	book, err := h.openAt(h.hostFlag, ui)
	if err != nil {
		return err
	}
	defer book.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	filter := ledger.Filter{Host: h.Host, Since: h.Since.Time, Sender: h.Sender, Case: h.Case, Failed: h.Failed, Probes: h.Probes, Limit: int(h.Limit)}
	if !h.Follow {
		filter.Limit = h.Limit.query()
	}
	found, err := book.Handshakes(ctx, filter)
	if err != nil {
		return err
	}
	if !h.Follow {
		if len(found) == 0 {
			ui.Note("no handshakes since " + localTime(h.Since.Time))
		}
		return h.print(ui, cut(ui, found, h.Limit))
	}
	return h.follow(ctx, ui, book, filter, found)
}

// followInterval is how often the ledger is read again.
const followInterval = time.Second

// follow prints the handshakes found, the oldest first, and then new ones until ctx ends.
func (h handshakesListCmd) follow(ctx context.Context, ui terminal.UI, book *ledger.Reader, filter ledger.Filter, found []ledger.Handshake) error {
	slices.Reverse(found)
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		for _, handshake := range found {
			filter.After = max(filter.After, handshake.ID)
		}
		if err := h.print(ui, found); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var err error
		if found, err = book.Handshakes(ctx, filter); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (h handshakesListCmd) print(ui terminal.UI, found []ledger.Handshake) error {
	for _, handshake := range found {
		if h.JSON {
			if err := ui.JSON(jsonout.NewHandshake(handshake)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(ui.Out, handshakeLine(handshake))
	}
	return nil
}

type handshakesShowCmd struct {
	ledgerFlags
	ID    string `arg:"" complete:"session" help:"Session ID, as in postern handshakes, the log and SMTP replies."`
	ASCII bool   `help:"Draw in ASCII."`
	JSON  bool   `help:"Print one JSON object; see docs/json.md."`
}

// Help is called by kong.
func (handshakesShowCmd) Help() string {
	return `Draws who sent which message and when, where it stopped, and what that means: the known client failure, if it matches one, what Postern did, and what you or the sender's administrator can do. The ID is in the list, in the log, and in what the sender was told: in the greeting and in the reply to STARTTLS.`
}

// Run is called by kong.
func (h handshakesShowCmd) Run(ui terminal.UI) error {
	book, err := h.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	found, err := book.Handshake(context.Background(), h.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return &terminal.HintedError{Err: err, Hint: "find the ID with postern handshakes, second column"}
	}
	if err != nil {
		return err
	}
	transcript, unread := handshake.Parse(found.Transcript)
	if h.JSON {
		if unread != nil {
			found.Transcript = nil
		}
		return ui.JSON(jsonout.NewHandshake(found))
	}
	fmt.Fprintln(ui.Out, handshakeLine(found))
	switch {
	case len(found.Transcript) == 0 && found.Outcome == ledger.Failed:
		ui.Note("its messages are not stored any more: the ledger was full, and the networks with the most lose theirs first")
		return nil
	case len(found.Transcript) == 0:
		ui.Note("its messages are not stored: those of failed handshakes are, and for each sender those of one a day that it completes")
		return nil
	case unread != nil:
		return &terminal.HintedError{Err: unread, Hint: "another version of postern stored this transcript; look at a newer failure, or use that version"}
	}
	fmt.Fprintln(ui.Out)
	options := handshake.DiagramOptions{ASCII: h.ASCII, Location: time.Local}
	if found.Outcome != ledger.Failed {
		fmt.Fprint(ui.Out, transcript.Diagram(options))
		return nil
	}
	failed := len(found.Diagnoses) == 0 || found.Diagnoses[0].Case != ledger.Scanner
	printExplanation(ui, transcript, failure.Cases(found, transcript), failed, options)
	if !failed {
		fmt.Fprintln(ui.Out)
		ui.Paragraph("scanner", "the client tried many different ClientHellos within minutes, as sslscan and testssl.sh do; it is no sender, and its later handshakes are only in the log")
	}
	if found.Revised != "" {
		fmt.Fprintln(ui.Out)
		ui.Paragraph("before", safetext.Printable(found.Revised))
	}
	fmt.Fprintln(ui.Out)
	ui.Paragraph("next", safetext.Printable(found.Next))
	return nil
}

// handshakeLine is a handshake in a line of the table.
func handshakeLine(h ledger.Handshake) string {
	host := ""
	if h.Host != "" {
		host = fmt.Sprintf("  %-16s", safetext.Shorten(h.Host, 40))
	}
	line := fmt.Sprintf("%-24s %-10s%s  %-15s  %-28s  %-9s  %s", localTime(h.At),
		h.Session, host, h.Address, safetext.Shorten(h.EHLO, 28), h.Outcome, handshakeDetail(h))
	return strings.TrimRight(line, " ")
}

// handshakeDetail is the last column.
func handshakeDetail(h ledger.Handshake) string {
	switch {
	case h.Outcome == ledger.Failed:
		words := ledger.Unknown
		if len(h.Diagnoses) > 0 {
			words = h.Diagnoses[0].Case
		}
		if h.Fingerprint != "" {
			words += ", mode " + h.Mode.String()
		}
		words += ": " + safetext.Printable(h.Stopped)
		if h.Revised != "" {
			words += "; was " + safetext.Printable(h.Revised)
		}
		return words
	case h.Outcome == ledger.Plaintext && h.After != "":
		return "retried without TLS after " + h.After
	case h.Outcome == ledger.Plaintext:
		return ""
	}
	return fmt.Sprintf("%s, mode %s", h.Version, h.Mode)
}
