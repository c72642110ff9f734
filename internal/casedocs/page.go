package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"postern/interop"
)

const index = "README.md"

// pages are the texts of all files, by name.
func pages(cases []*interop.Case, recordings string) (map[string]string, error) {
	all := map[string]string{index: wrap(list(cases))}
	for _, c := range cases {
		r, err := readRecording(filepath.Join(recordings, c.ID+".txt"))
		if err != nil {
			return nil, err
		}
		all[c.ID+".md"] = wrap(page(c, r))
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

Senders that are known to fail in the TLS handshake. Each case has evidence; its status says how much:

- **confirmed**: seen by several independent parties, with captures, or solved by a fix
- **reported**: reported by one credible party, or by several without captures
- **suspected**: fits what was seen, but is not proven

No case is a claim about a vendor's software. A diagnosis says that a handshake matches what the sources describe.

| case | what the client does | status |
| --- | --- | --- |
`

const contributing = `
## A failure that matches no case

Postern keeps the transcript of a handshake that matches no case here. Please contribute it: open an issue with the
transcript in JSON, the sender's software if you know it, and what its administrator sees. A transcript contains no key
and no mail. It does contain both addresses and the name that the sender asked for: replace them if they are private.

A case is one file in ` + "`interop/`" + ` with its evidence, its remedy and the function that recognises it, one line
in ` + "`interop/catalogue.go`" + `, and at least one recorded handshake in ` + "`interop/testdata/transcripts/`" + `. The
tests run every recogniser on every recording.
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

const columns = 120 // of a line of Markdown, as scripts/check-markdown has it

// wrap breaks lines of prose that are too long, at spaces. Code and tables stay as they are.
func wrap(markdown string) string {
	var lines []string
	code := false
	for line := range strings.SplitSeq(markdown, "\n") {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		indent := ""
		if strings.HasPrefix(line, "- ") {
			indent = "  "
		}
		for !code && !strings.HasPrefix(line, "|") && utf8.RuneCountInString(line) > columns {
			head := string([]rune(line)[:columns+1])
			space := strings.LastIndexByte(head, ' ')
			if space <= len(indent) {
				break
			}
			lines = append(lines, line[:space])
			line = indent + line[space+1:]
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
