package main

import (
	"fmt"
	"strings"

	"postern/internal/terminal"
	"postern/interop"
)

// cases is the subcommand that tells of the catalogue.
type cases struct {
	List casesList `cmd:"" default:"withargs" help:"List them, one line each."`
	Show casesShow `cmd:"" help:"Tell what is known of one, who saw it, and what to do."`
}

type casesList struct {
	JSON bool `help:"One JSON object a line; docs/json.md tells the fields."`
}

// Run is called by kong.
func (c casesList) Run(ui terminal.UI) error {
	for _, known := range interop.Cases() {
		if c.JSON {
			if err := ui.JSON(caseRow(known)); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(ui.Out, "%-24s  %-9s  %s\n", known.ID, known.Status, known.Title)
	}
	return nil
}

type casesShow struct {
	ID   string `arg:"" help:"The case's id, as in postern cases."`
	JSON bool   `help:"As one JSON object; docs/json.md tells the fields."`
}

// Run is called by kong.
func (c casesShow) Run(ui terminal.UI) error {
	known, ok := interop.Find(c.ID)
	if !ok {
		return &terminal.HintedError{Err: fmt.Errorf("no case %q is known", c.ID), Hint: "postern cases lists those that are"}
	}
	if c.JSON {
		return ui.JSON(caseRow(known))
	}
	ui.Paragraph("case", fmt.Sprintf("%s: %s", known.ID, known.Title))
	printCase(ui, known)
	return nil
}

// A caseJSON is a case as docs/json.md tells it.
type caseJSON struct {
	ID          string       `json:"id"`
	Title       string       `json:"title"`
	Who         string       `json:"who"`
	Since       string       `json:"since"`
	Status      string       `json:"status"`
	Explanation string       `json:"explanation"`
	Remedies    []remedyJSON `json:"remedies"`
	Sources     []sourceJSON `json:"sources"`
}

type remedyJSON struct {
	Software string `json:"software"`
	Action   string `json:"do"`
}

type sourceJSON struct {
	URL     string `json:"url"`
	Date    string `json:"date,omitempty"`
	Summary string `json:"says"`
}

func caseRow(c *interop.Case) caseJSON {
	row := caseJSON{
		ID: c.ID, Title: c.Title, Who: c.Clients, Since: c.Since,
		Status: strings.ToLower(c.Status.String()), Explanation: c.Explanation,
		Remedies: []remedyJSON{{"Postern", c.Remedy.Postern}},
	}
	for _, a := range c.Remedy.OtherSoftware {
		row.Remedies = append(row.Remedies, remedyJSON(a))
	}
	for _, s := range c.Sources {
		row.Sources = append(row.Sources, sourceJSON(s))
	}
	return row
}
