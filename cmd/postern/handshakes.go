package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"postern/handshake"
	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
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
func (h handshakesList) Run(ui terminal.UI) error {
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
			ui.Note("no handshakes since " + h.Since.Local().Format(time.DateTime))
		}
		return h.print(ui, found)
	}
	return h.follow(ctx, ui, book, filter, found)
}

// followInterval is how often new handshakes are looked for.
const followInterval = time.Second

// follow prints what is there, oldest first, and what comes, until ctx ends.
func (h handshakesList) follow(ctx context.Context, ui terminal.UI, book *ledger.Reader, filter ledger.Filter, found []ledger.Handshake) error {
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

func (h handshakesList) print(ui terminal.UI, found []ledger.Handshake) error {
	for _, handshake := range found {
		if h.JSON {
			if err := ui.JSON(handshakeRow(handshake)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintln(ui.Out, handshakeLine(handshake))
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
func (h handshakesShow) Run(ui terminal.UI) error {
	book, err := h.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	found, err := book.Handshake(context.Background(), h.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return &terminal.HintedError{Err: err, Hint: "postern handshakes lists those that are kept; their second column is the id"}
	}
	if err != nil {
		return err
	}
	if h.JSON {
		return ui.JSON(handshakeRow(found))
	}
	fmt.Fprintln(ui.Out, handshakeLine(found))
	if len(found.Transcript) == 0 {
		ui.Note("its messages are not kept: only those of failed handshakes are")
		return nil
	}
	transcript, err := handshake.Parse(found.Transcript)
	if err != nil {
		return err
	}
	fmt.Fprintln(ui.Out)
	printExplanation(ui, explanationOf(transcript), handshake.DiagramOptions{ASCII: h.ASCII, Location: time.Local})
	fmt.Fprintf(ui.Out, "\nNext: %s\n", safetext.Printable(found.Next))
	return nil
}

// A handshakeJSON is a handshake of the ledger as docs/json.md tells it.
type handshakeJSON struct {
	Session string       `json:"session"`
	Time    time.Time    `json:"time"`
	Address netip.Addr   `json:"address"`
	Network netip.Prefix `json:"network"`
	EHLO    string       `json:"ehlo,omitempty"`
	JA4     string       `json:"ja4,omitempty"`
	Outcome string       `json:"outcome"`
	Mode    string       `json:"mode,omitempty"`
	negotiatedJSON
	After     string          `json:"after,omitempty"`
	Stopped   string          `json:"stopped,omitempty"`
	Cases     []caseFoundJSON `json:"cases,omitempty"`
	Next      string          `json:"next,omitempty"`
	Handshake json.RawMessage `json:"handshake,omitempty"`
}

// A negotiatedJSON is what a handshake came to, by names.
type negotiatedJSON struct {
	Version string `json:"version,omitempty"`
	Suite   string `json:"suite,omitempty"`
	Group   string `json:"group,omitempty"`
}

// negotiated names the numbers of the wire; 0 stands for nothing.
func negotiated(version, suite, group uint16) (n negotiatedJSON) {
	if version != 0 {
		n.Version, n.Suite = handshake.Version(version).String(), handshake.Suite(suite).String()
	}
	if group != 0 {
		n.Group = handshake.Group(group).String()
	}
	return n
}

type caseFoundJSON struct {
	Case       string  `json:"case"`
	Confidence float64 `json:"confidence"`
}

func handshakeRow(h ledger.Handshake) handshakeJSON {
	row := handshakeJSON{
		Session: h.Session, Time: h.At.UTC(), Address: h.Address, Network: h.Network,
		EHLO: h.EHLO, JA4: h.Fingerprint, Outcome: h.Outcome.String(),
		negotiatedJSON: negotiated(h.Version, h.Suite, h.Group),
		After:          h.After, Stopped: h.Stopped, Next: h.Next, Handshake: h.Transcript,
	}
	if h.Fingerprint != "" {
		row.Mode = h.Mode.String()
	}
	for _, d := range h.Diagnoses {
		row.Cases = append(row.Cases, caseFoundJSON{d.Case, d.Confidence})
	}
	return row
}

// handshakeLine is a handshake in one line of columns, for people.
func handshakeLine(h ledger.Handshake) string {
	line := fmt.Sprintf("%s  %-10s  %-15s  %-28s  %-9s  %s", h.At.Local().Format(time.DateTime),
		h.Session, h.Address, safetext.Shorten(h.EHLO, 28), h.Outcome, handshakeWords(h))
	return strings.TrimRight(line, " ")
}

// handshakeWords say what is to say of a handshake beyond its outcome.
func handshakeWords(h ledger.Handshake) string {
	switch {
	case h.Outcome == ledger.Failed:
		words := ledger.Unknown
		if len(h.Diagnoses) > 0 {
			words = h.Diagnoses[0].Case
		}
		if h.Fingerprint != "" {
			words += ", mode " + h.Mode.String()
		}
		return words + ": " + safetext.Printable(h.Stopped)
	case h.Outcome == ledger.Plaintext && h.After != "":
		return "came back without TLS after " + h.After
	case h.Outcome == ledger.Plaintext:
		return ""
	}
	return fmt.Sprintf("%s, mode %s", handshake.Version(h.Version), h.Mode)
}
