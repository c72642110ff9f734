package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"postern/handshake"
	"postern/internal/fallback"
	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
	"postern/sessionticket"
)

// senders is the subcommand that shows who comes, and pins what they are offered.
type senders struct {
	List  sendersList  `cmd:"" default:"withargs" help:"List them, those with the most sessions first."`
	Show  sendersShow  `cmd:"" help:"Tell all about one: days, what it negotiates, what was decided."`
	Pin   sendersPin   `cmd:"" help:"Pin the senders of a network to a TLS mode."`
	Unpin sendersUnpin `cmd:"" help:"Remove a pin."`
}

type sendersList struct {
	ledgerFlags
	Since    since  `default:"7d" placeholder:"TIME" help:"Who came since then: so long ago (90m, 24h, 7d) or a date (${default})."`
	Sender   string `placeholder:"X" help:"Only this address, network, or part of an EHLO name."`
	Failed   bool   `help:"Only those with failed handshakes."`
	Returned bool   `help:"Only those that came back in plaintext after a failed handshake."`
	Limit    int    `default:"100" placeholder:"N" help:"At most so many (${default})."`
	JSON     bool   `help:"One JSON object a line; docs/json.md tells the fields."`
}

// Run is called by kong.
func (s sendersList) Run(ui terminal.UI) error {
	book, err := s.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	found, err := book.Senders(context.Background(), ledger.Filter{
		Since: s.Since.Time, Sender: s.Sender, Failed: s.Failed, Returned: s.Returned, Limit: s.Limit,
	})
	if err != nil {
		return err
	}
	if s.JSON {
		for _, sender := range found {
			if err := ui.JSON(senderRow(sender)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(found) == 0 {
		ui.Note("no senders since " + s.Since.Local().Format(time.DateTime))
		return nil
	}
	fmt.Fprintln(ui.Out, senderHead)
	for _, sender := range found {
		fmt.Fprintln(ui.Out, senderLine(sender))
	}
	return nil
}

type sendersPin struct {
	ledgerFlags
	Network string `arg:"" help:"An address or a network, such as 192.0.2.0/24."`
	Mode    string `arg:"" help:"first-write, own-write, no-ticket, tls12 or stock."`
	Why     string `required:"" placeholder:"TEXT" help:"The reason, for those who read it later."`
}

// Run is called by kong.
func (s sendersPin) Run(ui terminal.UI) error {
	network, err := networkOf(s.Network)
	if err != nil {
		return &terminal.UsageError{Err: err}
	}
	var mode sessionticket.Mode
	if err := mode.UnmarshalText([]byte(s.Mode)); err != nil {
		return &terminal.UsageError{Err: err}
	}
	pin := fallback.Pin{Network: network, Mode: mode, Why: s.Why, Since: time.Now()}
	if err := ledger.SetPin(context.Background(), s.path(), pin); err != nil {
		return s.hinted(err)
	}
	fmt.Fprintf(ui.Out, "%s is pinned to mode %s; a running server applies it within two seconds.\n", network, mode)
	return nil
}

type sendersUnpin struct {
	ledgerFlags
	Network string `arg:"" help:"The address or network, as it was pinned."`
}

// Run is called by kong.
func (s sendersUnpin) Run(ui terminal.UI) error {
	network, err := networkOf(s.Network)
	if err != nil {
		return &terminal.UsageError{Err: err}
	}
	switch err := ledger.RemovePin(context.Background(), s.path(), network); {
	case errors.Is(err, ledger.ErrNoPin):
		return &terminal.HintedError{Err: err, Hint: "postern senders show tells the pins of a sender"}
	case err != nil:
		return s.hinted(err)
	}
	fmt.Fprintf(ui.Out, "%s is not pinned any more.\n", network)
	return nil
}

// networkOf reads a network, or an address as one of its own.
func networkOf(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network, such as 192.0.2.0/24", text)
	}
	return network.Masked(), nil
}

type sendersShow struct {
	ledgerFlags
	Sender string `arg:"" help:"An address, a network, or part of an EHLO name."`
	Since  since  `default:"30d" placeholder:"TIME" help:"What it did since then (${default})."`
	JSON   bool   `help:"As one JSON object; docs/json.md tells the fields."`
}

// A senderStory is all that the ledger has of a sender.
type senderStory struct {
	senders   []ledger.Sender
	days      []ledger.Day
	decisions []fallback.Decision
	pins      []fallback.Pin
	failed    []ledger.Handshake
}

// Run is called by kong.
func (s sendersShow) Run(ui terminal.UI) error {
	book, err := s.open(ui)
	if err != nil {
		return err
	}
	defer book.Close()
	story, err := s.read(book)
	if err != nil {
		return err
	}
	if s.JSON {
		return ui.JSON(storyRow(story))
	}
	if len(story.senders) == 0 && len(story.pins) == 0 {
		ui.Note(fmt.Sprintf("nobody like %s came since %s", safetext.Printable(s.Sender), s.Since.Local().Format(time.DateTime)))
		return nil
	}
	printSender(ui, story)
	return nil
}

func (s sendersShow) read(book *ledger.Reader) (story senderStory, err error) {
	ctx, filter := context.Background(), ledger.Filter{Since: s.Since.Time, Sender: s.Sender}
	if story.senders, err = book.Senders(ctx, filter); err != nil {
		return story, err
	}
	if story.days, err = book.Days(ctx, filter); err != nil {
		return story, err
	}
	if story.pins, err = s.pins(ctx, book); err != nil {
		return story, err
	}
	if story.decisions, err = book.Decisions(ctx, filter); err != nil {
		return story, err
	}
	filter.Failed, filter.Limit = true, 10
	story.failed, err = book.Handshakes(ctx, filter)
	return story, err
}

// pins are those that hold for the sender; all where it is no network.
func (s sendersShow) pins(ctx context.Context, book *ledger.Reader) ([]fallback.Pin, error) {
	all, err := book.Pins(ctx)
	network, bad := networkOf(s.Sender)
	if err != nil || bad != nil {
		return nil, err
	}
	var holding []fallback.Pin
	for _, p := range all {
		if p.Network.Overlaps(network) {
			holding = append(holding, p)
		}
	}
	return holding, nil
}

// story tells of a sender, for people.
func printSender(t terminal.UI, s senderStory) {
	fmt.Fprintln(t.Out, senderHead)
	for _, sender := range s.senders {
		fmt.Fprintln(t.Out, senderLine(sender))
	}
	for _, p := range s.pins {
		fmt.Fprintf(t.Out, "\npinned        %s to mode %s since %s: %s\n", p.Network, p.Mode, p.Since.Local().Format(time.DateTime), safetext.Printable(p.Why))
	}
	if len(s.days) > 0 {
		fmt.Fprintln(t.Out, "\nday           what was negotiated")
	}
	for _, d := range s.days {
		fmt.Fprintf(t.Out, "%s    %s\n", d.Day.Format(time.DateOnly), dayWords(d))
	}
	if len(s.decisions) > 0 {
		fmt.Fprintln(t.Out, "\nwhat was decided")
	}
	for _, d := range s.decisions {
		fmt.Fprintf(t.Out, "%s  %s, from %s to %s\n", d.At.Local().Format(time.DateTime), d.Kind, d.From, d.To)
		t.Paragraph("", safetext.Printable(d.Why))
	}
	if len(s.failed) > 0 {
		fmt.Fprintln(t.Out, "\nfailed handshakes; postern handshakes show ID explains one")
	}
	for _, h := range s.failed {
		fmt.Fprintln(t.Out, handshakeLine(h))
	}
}

func dayWords(d ledger.Day) string {
	counts := fmt.Sprintf("%d full, %d resumed, %d failed, %d in plaintext", d.Full, d.Resumed, d.Failed, d.Plaintext)
	if d.Version == 0 {
		return counts
	}
	return fmt.Sprintf("%s, %s, %s: %s", handshake.Version(d.Version), handshake.Suite(d.Suite), handshake.Group(d.Group), counts)
}
