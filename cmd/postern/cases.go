package main

import (
	"fmt"
	"strings"

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

// Run is called by kong.
func (c casesListCmd) Run(ui terminal.UI) error {
	for _, known := range interop.Cases() {
		if c.JSON {
			if err := ui.JSON(toCaseJSON(known)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(ui.Out, "%-24s  %-9s  %s\n", known.ID, known.Status, known.Title)
	}
	return nil
}

type casesShowCmd struct {
	ID   string `arg:"" help:"Case ID, as in postern cases."`
	JSON bool   `help:"Print one JSON object; see docs/json.md."`
}

// Run is called by kong.
func (c casesShowCmd) Run(ui terminal.UI) error {
	known, ok := interop.Find(c.ID)
	if !ok {
		return &terminal.HintedError{Err: fmt.Errorf("unknown case %q", c.ID), Hint: "list the cases with postern cases"}
	}
	if c.JSON {
		return ui.JSON(toCaseJSON(known))
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
	for _, a := range c.Remedy.OtherSoftware {
		ui.Paragraph(a.Software, a.Action)
	}
	for _, s := range c.Sources {
		fmt.Fprintf(ui.Out, "%-*s%s\n", terminal.Margin, "source", s.URL)
	}
}

// A caseJSON is a case, as in docs/json.md.
type caseJSON struct {
	ID          string       `json:"id"`
	Title       string       `json:"title"`
	Clients     string       `json:"clients"`
	Since       string       `json:"since"`
	Status      string       `json:"status"`
	Explanation string       `json:"explanation"`
	Remedies    []remedyJSON `json:"remedies"`
	Sources     []sourceJSON `json:"sources"`
}

type remedyJSON struct {
	Software string `json:"software"`
	Action   string `json:"action"`
}

type sourceJSON struct {
	URL     string `json:"url"`
	Date    string `json:"date,omitempty"`
	Summary string `json:"summary"`
}

func toCaseJSON(c *interop.Case) caseJSON {
	out := caseJSON{
		ID: c.ID, Title: c.Title, Clients: c.Clients, Since: c.Since,
		Status: strings.ToLower(c.Status.String()), Explanation: c.Explanation,
		Remedies: []remedyJSON{{"Postern", c.Remedy.Postern}},
	}
	for _, a := range c.Remedy.OtherSoftware {
		out.Remedies = append(out.Remedies, remedyJSON(a))
	}
	for _, s := range c.Sources {
		out.Sources = append(out.Sources, sourceJSON(s))
	}
	return out
}
