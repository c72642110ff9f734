package main

import (
	"context"
	"fmt"
	"time"

	"postern/handshake"
	"postern/internal/ledger"
)

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
	decisions []ledger.Decision
	pins      []ledger.Pin
	failed    []ledger.Handshake
}

// Run is called by kong.
func (s sendersShow) Run(ui terminal) error {
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
		return ui.json(storyRow(story))
	}
	if len(story.senders) == 0 && len(story.pins) == 0 {
		ui.note(fmt.Sprintf("nobody like %s came since %s", printable(s.Sender), s.Since.Local().Format(time.DateTime)))
		return nil
	}
	ui.story(story)
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
func (s sendersShow) pins(ctx context.Context, book *ledger.Reader) ([]ledger.Pin, error) {
	all, err := book.Pins(ctx)
	network, bad := networkOf(s.Sender)
	if err != nil || bad != nil {
		return nil, err
	}
	var holding []ledger.Pin
	for _, p := range all {
		if p.Network.Overlaps(network) {
			holding = append(holding, p)
		}
	}
	return holding, nil
}

// story tells of a sender, for people.
func (t terminal) story(s senderStory) {
	fmt.Fprintln(t.out, senderHead)
	for _, sender := range s.senders {
		fmt.Fprintln(t.out, senderLine(sender))
	}
	for _, p := range s.pins {
		fmt.Fprintf(t.out, "\npinned        %s on %s since %s: %s\n", p.Network, p.Rung, p.Since.Local().Format(time.DateTime), printable(p.Why))
	}
	if len(s.days) > 0 {
		fmt.Fprintln(t.out, "\nday           what was negotiated")
	}
	for _, d := range s.days {
		fmt.Fprintf(t.out, "%s    %s\n", d.Day.Format(time.DateOnly), dayWords(d))
	}
	if len(s.decisions) > 0 {
		fmt.Fprintln(t.out, "\nwhat was decided")
	}
	for _, d := range s.decisions {
		fmt.Fprintf(t.out, "%s  %s, from %s to %s\n", d.At.Local().Format(time.DateTime), d.Kind, d.From, d.To)
		t.paragraph("", printable(d.Why))
	}
	if len(s.failed) > 0 {
		fmt.Fprintln(t.out, "\nfailed handshakes; postern handshakes show ID explains one")
	}
	for _, h := range s.failed {
		fmt.Fprintln(t.out, handshakeLine(h))
	}
}

func dayWords(d ledger.Day) string {
	counts := fmt.Sprintf("%d full, %d resumed, %d failed, %d in plaintext", d.Full, d.Resumed, d.Failed, d.Plaintext)
	if d.Version == 0 {
		return counts
	}
	return fmt.Sprintf("%s, %s, %s: %s", handshake.Version(d.Version), handshake.Suite(d.Suite), handshake.Group(d.Group), counts)
}
