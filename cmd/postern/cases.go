package main

import (
	"fmt"

	"postern/internal/jsonout"
	"postern/internal/terminal"
	"postern/interop"
)

// casesCmd shows the known client failures.
type casesCmd struct {
	List casesListCmd `cmd:"" default:"withargs" help:"List known client failures."`
	Show casesShowCmd `cmd:"" help:"Show a known client failure: clients, explanation, remedies, sources."`
}

type casesListCmd struct {
	JSON bool `help:"Print one JSON object per line; see docs/json.md."`
}

// Help is called by kong.
func (casesListCmd) Help() string {
	return `A case is a known behaviour of mail senders that makes TLS handshakes fail. A line has its ID, as diagnoses name it, how well it is established, and what the clients do.

Examples:

  postern cases show early-ticket
  postern handshakes --case early-ticket`
}

// Run is called by kong.
func (c casesListCmd) Run(ui terminal.UI) error {
	for _, known := range interop.Cases() {
		if c.JSON {
			if err := ui.JSON(jsonout.NewCase(known)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(ui.Out, "%-24s  %-9s  %s\n", known.ID, known.Status, known.Title)
	}
	return nil
}

type casesShowCmd struct {
	ID   string `arg:"" complete:"case" help:"Case ID, as in postern cases."`
	JSON bool   `help:"Print one JSON object; see docs/json.md."`
}

// Run is called by kong.
func (c casesShowCmd) Run(ui terminal.UI) error {
	known, ok := interop.Find(c.ID)
	if !ok {
		return &terminal.HintedError{Err: fmt.Errorf("unknown case %q", c.ID), Hint: "list the cases with postern cases"}
	}
	if c.JSON {
		return ui.JSON(jsonout.NewCase(known))
	}
	ui.Paragraph("case", fmt.Sprintf("%s: %s", known.ID, known.Title))
	printCase(ui, known)
	return nil
}

// printCase prints a case without its title.
func printCase(ui terminal.UI, c *interop.Case) {
	ui.Paragraph("clients", fmt.Sprintf("%s, since %s (%s)", c.Clients, c.Since, c.Status))
	ui.Paragraph("explanation", c.Explanation)
	ui.Paragraph("Postern", c.Remedy.Postern)
	ui.Paragraph("sender", c.Remedy.Sender)
	for _, a := range c.Remedy.OtherSoftware {
		ui.Paragraph(a.Software, a.Action)
	}
	for _, s := range c.Sources {
		fmt.Fprintf(ui.Out, "%-*s%s\n", terminal.Margin, "source", s.URL)
	}
}
