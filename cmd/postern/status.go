package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"postern/internal/fleet"
	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/safetext"
	"postern/internal/status"
	"postern/internal/terminal"
)

// statusCmd says who cannot deliver.
type statusCmd struct {
	ledgerFlags
	hostFlag
	Since since `complete:"age" default:"24h" placeholder:"TIME" help:"Only senders that came since then: an age (90m, 24h, 7d) or a date. Default: ${default}."`
	JSON  bool  `xor:"output" help:"Print one JSON object; see docs/json.md."`
	Ready bool  `xor:"output" help:"Instead, ask the running server whether it takes mail, for health checks."`
}

// Help is called by kong.
func (statusCmd) Help() string {
	return `Says in one sentence who cannot deliver, and since when. Below it are the senders that need you, the worst first, at most five: what happens, what Postern did already, and the next step. A sender that failed once and then delivered is not among them, nor are scanners and probes.

Exit status:

  0  everybody delivered
  1  somebody cannot deliver, or needs a look
  2  wrong command line or configuration
  3  there was no mail, or the ledger cannot be read

With --ready, 0 is that the server takes mail, and 1 that it does not: it does not run, it drains, or its next hop takes no mail. It is asked at the address of listen in [metrics].`
}

// Run is called by kong.
func (c statusCmd) Run(ui terminal.UI) error {
	if c.Ready {
		return askReady(ui, configFile(c.File))
	}
	now := time.Now()
	s, err := c.read(ui, now)
	if err != nil {
		if ui.Fail(err) == terminal.ExitUsage {
			return terminal.ExitUsage
		}
		return terminal.ExitUnclear // 1 would be that somebody cannot deliver
	}
	if c.JSON {
		err = ui.JSON(jsonout.NewStatus(s))
	} else {
		printStatus(ui, s)
	}
	if err != nil {
		return err
	}
	switch s.State {
	case status.OK:
		return nil
	case status.NoData:
		return terminal.ExitUnclear
	}
	return terminal.ExitFailed
}

// read reads the status from the ledger.
func (c statusCmd) read(ui terminal.UI, now time.Time) (s status.Status, err error) {
	book, err := c.openAt(c.hostFlag, ui)
	if err != nil {
		return s, err
	}
	defer book.Close()
	span := ledger.Span{From: c.Since.Time, To: now, Host: c.Host}
	return status.Read(context.Background(), book, span, sinceWords(c.Since.Time, now)+atHost(c.Host), now)
}

// sinceWords is the span from a time until now, in words.
func sinceWords(from, now time.Time) string {
	age := now.Sub(from).Round(time.Second)
	switch day := 24 * time.Hour; {
	case age > day && age%day == 0:
		return fmt.Sprintf("in the last %d days", age/day)
	case age > time.Hour && age%time.Hour == 0:
		return fmt.Sprintf("in the last %d hours", age/time.Hour)
	case age > time.Minute && age%time.Minute == 0:
		return fmt.Sprintf("in the last %d minutes", age/time.Minute)
	}
	return "since " + localTime(from)
}

// printStatus prints a status for people.
func printStatus(ui terminal.UI, s status.Status) {
	fmt.Fprintf(ui.Out, "%s: %s\n", s.State, s.Sentence)
	for i, c := range s.Cards {
		if c.Effect == 0 {
			fmt.Fprintf(ui.Out, "\n%d. %s%s\n", i+1, c.Title, c.At())
			printCard(ui, c)
			continue
		}
		fmt.Fprintf(ui.Out, "\n%d. %s %s\n", i+1, c.Title, c.Effect)
		ui.Paragraph("why", cardReason(c))
		ui.Paragraph("who", cardSender(c))
		ui.Paragraph("when", cardTimes(c))
		for _, step := range c.Did() {
			text := safetext.Printable(step.Text)
			if !step.At.IsZero() {
				text += ", " + localTime(step.At)
			}
			ui.Paragraph("done", text)
		}
		ui.Paragraph("next", safetext.Printable(c.Next()))
		if c.Alert != nil {
			ui.Paragraph("alert", cardAlert(*c.Alert))
		}
		if c.Session != "" {
			ui.Paragraph("see", "postern handshakes show "+safetext.Printable(c.Session))
		}
	}
	if s.More > 0 {
		fmt.Fprintf(ui.Out, "\n%d more: postern senders --failed, postern alerts --open\n", s.More)
	}
	if len(s.Cards) == 0 && s.State == status.OK {
		text := "Nothing to do."
		if !s.Checked.IsZero() {
			text += " Last self-check " + localTime(s.Checked) + "."
		}
		fmt.Fprintln(ui.Out, text)
	}
	if len(s.Fleet) > 0 {
		fmt.Fprintf(ui.Out, "\n%s See postern fleet.\n", fleet.Summary(s.Fleet))
	}
	if s.Refused > 0 {
		fmt.Fprintf(ui.Out, "\nMail of %s was refused or deferred, and not accepted since: postern refusals\n", plural(s.Refused, "network", "networks"))
	}
	if s.Doubtful > 0 {
		fmt.Fprintf(ui.Out, "\nNot counted: %s that failed and did not try again, as scanners do.\n", plural(s.Doubtful, "client", "clients"))
	}
}

// printCard prints what is about no sender: a host of the fleet, or an alert.
func printCard(ui terminal.UI, c status.Card) {
	ui.Paragraph("why", safetext.Printable(c.Why()))
	if c.Host != nil {
		ui.Paragraph("when", "last heard "+localTime(c.First))
	} else {
		ui.Paragraph("when", "since "+localTime(c.First))
	}
	ui.Paragraph("next", safetext.Printable(c.Next()))
	if c.Alert != nil {
		ui.Paragraph("alert", cardAlert(*c.Alert))
	}
}

func cardAlert(a ledger.Alert) string {
	if a.Host != "" && a.Acknowledged.IsZero() {
		return fmt.Sprintf("%d of %s; end its reminders there with postern alerts ack %d", a.ID, safetext.Shorten(a.Host, 60), a.ID)
	}
	if a.Acknowledged.IsZero() {
		return fmt.Sprintf("%d; end its reminders with postern alerts ack %d", a.ID, a.ID)
	}
	return fmt.Sprintf("%d; acknowledged %s by %s", a.ID, localTime(a.Acknowledged), safetext.Printable(a.By))
}

func cardReason(c status.Card) string {
	text := "no known case"
	if c.Case != nil {
		text = fmt.Sprintf("%s (%s): %s", c.Case.ID, c.Confidence, c.Case.Title)
	}
	if len(c.Evidence) > 0 {
		text += "; " + safetext.Printable(strings.Join(c.Evidence, "; "))
	}
	return text
}

// cardSender names the sender: its organization, and by what, its names and its networks.
func cardSender(c status.Card) string {
	var parts []string
	if c.Organization.Domain != "" {
		parts = append(parts, c.Organization.Domain+" by "+c.Organization.By.String())
	}
	for _, name := range c.Names {
		parts = append(parts, safetext.Shorten(name, 80))
	}
	for _, network := range c.Networks {
		parts = append(parts, network.String())
	}
	if c.MoreNetworks > 0 {
		parts = append(parts, plural(c.MoreNetworks, "more network", "more networks"))
	}
	return strings.Join(parts, ", ")
}

func cardTimes(c status.Card) string {
	text := fmt.Sprintf("%s%s, the last %s", plural(c.Failed, "failed handshake", "failed handshakes"), c.At(), localTime(c.Last))
	if c.Failed > 1 {
		text += ", the first " + localTime(c.First)
	}
	if !c.Worked.IsZero() {
		text += "; worked until " + localTime(c.Worked)
	}
	if c.Plaintext.IsZero() {
		return text + "; no mail in plaintext after it"
	}
	return text + "; mail in plaintext " + localTime(c.Plaintext)
}
