package main

import (
	"context"
	"fmt"
	"strings"

	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/terminal"
)

// refusalsCmd lists refused and deferred commands.
type refusalsCmd struct {
	ledgerFlags
	hostFlag
	Since     since  `complete:"age" default:"7d" placeholder:"TIME" help:"Only refusals since then: an age (90m, 24h, 7d) or a date. Default: ${default}."`
	Sender    string `complete:"sender" placeholder:"SENDER" help:"Only this IP address, network, or part of an EHLO name or of the envelope sender."`
	Recipient string `placeholder:"TEXT" help:"Only recipients that contain this text, such as a domain. Of a mail address the domain counts if no more is kept."`
	Limit     limit  `default:"100" placeholder:"N" help:"Print at most this many, up to 10000. Default: ${default}."`
	JSON      bool   `help:"Print one JSON object per line; see docs/json.md."`
}

// Help is called by kong.
func (refusalsCmd) Help() string {
	return `Lists refused (5xx) and deferred (4xx) mail by sender and reason, the newest first, with the reply and
where it came from: Postern or the next hop. Equal refusals of a day (UTC) are one line.

The ledger keeps the domains of mail addresses only, unless the setting ledger.addresses says otherwise.
The log has a line for each refused command.`
}

// Run is called by kong.
func (r refusalsCmd) Run(ui terminal.UI) error {
	book, err := r.openAt(r.hostFlag, ui)
	if err != nil {
		return err
	}
	defer book.Close()
	found, err := book.Refusals(context.Background(), ledger.RefusalFilter{
		Host: r.Host, Since: r.Since.Time, Sender: r.Sender, Recipient: r.Recipient, Limit: r.Limit.query(),
	})
	if err != nil {
		return err
	}
	found = cut(ui, found, r.Limit)
	if len(found) == 0 {
		ui.Note("no commands refused since " + localTime(r.Since.Time))
	}
	for _, refusal := range found {
		if !r.JSON {
			printRefusal(ui, refusal)
		} else if err := ui.JSON(jsonout.NewRefusal(refusal)); err != nil {
			return err
		}
	}
	return nil
}

// printRefusal prints a refusal: who, and below it what was said.
func printRefusal(ui terminal.UI, r ledger.Refusal) {
	who := r.Network.String()
	if !r.Network.IsValid() {
		who = "other networks"
	}
	if r.EHLO != "" {
		who += " " + safetext.Shorten(r.EHLO, 60)
	}
	if addresses := refusedAddresses(r); addresses != "" {
		who += ", " + addresses
	}
	fmt.Fprintf(ui.Out, "%-24s %6s  %s%s\n", localTime(r.Last), fmt.Sprintf("%d×", r.Count), who, atHost(r.Host))
	if r.Command == "" {
		ui.Paragraph("", r.Reply+" replies; too many to keep each reason")
		return
	}
	what, by := "refused", "Postern"
	if strings.HasPrefix(r.Reply, "4") {
		what = "deferred"
	}
	if r.Remote {
		by = "the next hop"
	}
	said := fmt.Sprintf("%s %s by %s: %s (session %s)", r.Command, what, by, safetext.Shorten(r.Reply, 500), r.Session)
	if !r.Accepted.IsZero() {
		said += "; mail like it was accepted " + localTime(r.Accepted)
	}
	ui.Paragraph("", said)
}

// refusedAddresses says from where to where.
func refusedAddresses(r ledger.Refusal) string {
	var words []string
	if r.From != "" {
		words = append(words, "from "+safetext.Shorten(r.From, 80))
	}
	if r.To != "" {
		words = append(words, "to "+safetext.Shorten(r.To, 80))
	}
	return strings.Join(words, " ")
}
