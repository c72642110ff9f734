package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"time"

	"postern/handshake"
	"postern/internal/ledger"
)

// handshakes is the subcommand that shows who came and how it went.
type handshakes struct {
	List handshakesList `cmd:"" default:"withargs" help:"List them, one line each, the newest first."`
	Show handshakesShow `cmd:"" help:"Draw one, and say what it was and what is next."`
}

type handshakesList struct {
	ledgerFlags
	Since  since  `default:"24h" placeholder:"TIME" help:"From then on: so long ago (90m, 24h, 7d) or a date (${default})."`
	Sender string `placeholder:"X" help:"Only of this address, network, or part of an EHLO name."`
	Case   string `placeholder:"ID" help:"Only failed ones of this case; unknown for those without."`
	Failed bool   `help:"Only failed ones."`
	Limit  int    `default:"100" placeholder:"N" help:"At most so many (${default})."`
	Follow bool   `help:"Go on with new ones as they come, the oldest first."`
	JSON   bool   `help:"One JSON object a line; docs/json.md tells the fields."`
}

// Run is called by kong.
func (h handshakesList) Run(ui terminal) error {
	book, err := h.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	filter := ledger.Filter{Since: h.Since.Time, Sender: h.Sender, Case: h.Case, Failed: h.Failed, Limit: h.Limit}
	found, err := book.Handshakes(ctx, filter)
	if err != nil {
		return err
	}
	if !h.Follow {
		if len(found) == 0 {
			ui.note("no handshakes since " + h.Since.Local().Format(time.DateTime))
		}
		return h.print(ui, found)
	}
	return h.follow(ctx, ui, book, filter, found)
}

// followInterval is how often new handshakes are looked for.
const followInterval = time.Second

// follow prints what is there, oldest first, and what comes, until ctx ends.
func (h handshakesList) follow(ctx context.Context, ui terminal, book *ledger.Reader, filter ledger.Filter, found []ledger.Handshake) error {
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

func (h handshakesList) print(ui terminal, found []ledger.Handshake) error {
	for _, handshake := range found {
		if h.JSON {
			if err := ui.json(handshakeRow(handshake)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(ui.out, handshakeLine(handshake))
	}
	return nil
}

type handshakesShow struct {
	ledgerFlags
	ID    string `arg:"" help:"The session's id, as in postern handshakes, in the log, and in our replies."`
	ASCII bool   `help:"Draw in ASCII."`
	JSON  bool   `help:"As one JSON object; docs/json.md tells the fields."`
}

// Run is called by kong.
func (h handshakesShow) Run(ui terminal) error {
	book, err := h.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	found, err := book.Handshake(context.Background(), h.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return &hintedError{err, "postern handshakes lists those that are kept; their second column is the id"}
	}
	if err != nil {
		return err
	}
	if h.JSON {
		return ui.json(handshakeRow(found))
	}
	fmt.Fprintln(ui.out, handshakeLine(found))
	if len(found.Transcript) == 0 {
		ui.note("its messages are not kept: only those of failed handshakes are")
		return nil
	}
	transcript, err := handshake.Parse(found.Transcript)
	if err != nil {
		return err
	}
	fmt.Fprintln(ui.out)
	ui.explained(explanationOf(transcript), handshake.DrawOptions{ASCII: h.ASCII, Location: time.Local})
	fmt.Fprintf(ui.out, "\nNext: %s\n", printable(found.Next))
	return nil
}
