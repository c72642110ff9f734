package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"postern/interop"
)

const index = "README.md"

// pages are the texts of all files, by name.
func pages(cases []*interop.Case, recordings string) (map[string]string, error) {
	all := map[string]string{index: list(cases)}
	for _, c := range cases {
		r, err := readRecording(filepath.Join(recordings, c.ID+".txt"))
		if err != nil {
			return nil, err
		}
		all[c.ID+".md"] = page(c, r)
	}
	return all, nil
}

// generated stands at the head of each page, where editors see it.
const generated = "<!-- Made by go generate ./interop from interop/%s.go: change that. -->\n\n"

func page(c *interop.Case, r recording) string {
	var b strings.Builder
	fmt.Fprintf(&b, generated, strings.ReplaceAll(c.ID, "-", "_"))
	fmt.Fprintf(&b, "# %s\n\n%s.\n\n", c.ID, c.Title)
	fmt.Fprintf(&b, "- Who: %s\n- Since: %s\n- Status: %s\n\n%s\n\n", c.Clients, c.Since, c.Status, c.Explanation)
	fmt.Fprintf(&b, "## What to do\n\n%s\n\n", c.Remedy.Postern)
	if len(c.Remedy.OtherSoftware) > 0 {
		b.WriteString("With other software:\n\n")
	}
	for _, a := range c.Remedy.OtherSoftware {
		fmt.Fprintf(&b, "- **%s**: %s\n", a.Software, a.Action)
	}
	fmt.Fprintf(&b, "\n## What it looks like\n\nRecorded from %s: %s.\n\n```\n%s```\n", r.peer, r.comment, r.drawing)
	b.WriteString("\n## Who else saw it\n\n")
	for _, s := range c.Sources {
		fmt.Fprintf(&b, "- <%s>%s: %s\n", s.URL, dated(s.Date), s.Summary)
	}
	return b.String()
}

func dated(date string) string {
	if date == "" {
		return ""
	}
	return " (" + date + ")"
}

const introduction = `# The cases

What is known about senders that fail in the TLS handshake. Each case has evidence; its status says how much:

- **confirmed**: seen by several parties on their own, with captures, or cured by a fix
- **reported**: told by one credible party, or by several without captures
- **suspected**: it fits what was seen, and nobody has shown it

No case is a claim about a vendor's software. A diagnosis says that a handshake looks like those that the sources tell of.

| case | what the client does | status |
| --- | --- | --- |
`

const contributing = `
## A failure that is not known

Postern keeps the record of a handshake that looks like no case here. Please contribute it: open an issue with the record in JSON, what
software the sender runs if you know, and what its administrator sees. A record holds no key and no mail; it does hold both addresses and the
name that the sender asked for, so replace those if they are nobody's business.

A case is one file in ` + "`interop/`" + ` with its evidence, its remedy and the function that recognises it, one line in
` + "`interop/catalogue.go`" + `, and at least one recorded handshake in ` + "`interop/testdata/transcripts/`" + `. The tests hold every recogniser against every recording.
`

func list(cases []*interop.Case) string {
	var b strings.Builder
	fmt.Fprintf(&b, generated, "catalogue")
	b.WriteString(introduction)
	for _, c := range cases {
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s |\n", c.ID, c.ID, c.Title, c.Status)
	}
	b.WriteString(contributing)
	return b.String()
}
