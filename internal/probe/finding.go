package probe

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"postern/handshake"
	"postern/interop"
)

// A Finding is one thing that was found out about a server or a domain.
type Finding struct {
	// ID is the same for the same kind of finding in all reports: lower-case words
	// joined by hyphens. Where it tells of a case, it is the case's.
	ID       string
	Severity Severity
	Title    string // one line, without a full stop

	// Evidence is what was seen, a clause each. What strangers wrote stands in it
	// as in a Go string, so that no control character comes from them.
	Evidence []string

	// Advice is what to do, in the words of the software that was recognised; for
	// software that was not, of all that there is advice for.
	Advice  []interop.Advice
	Sources []string // URLs

	Case       *interop.Case         // the known case that it is an instance of, or nil
	Transcript *handshake.Transcript // the handshake that shows it, or nil
}

// worst returns the highest severity of findings.
func worst(findings []Finding) Severity {
	severity := Fine
	for _, f := range findings {
		severity = max(severity, f.Severity)
	}
	return severity
}

// byWeight puts the worst first and leaves the rest in its order.
func byWeight(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) })
}

// fine is a finding about what is as it should be.
func fine(id, title string, evidence ...string) Finding {
	return Finding{ID: id, Severity: Fine, Title: title, Evidence: evidence}
}

// maxQuoted is what is shown of one line of a stranger's, in letters.
const maxQuoted = 120

// quoted shows what a stranger wrote: cut short, and escaped as in a Go string.
func quoted(s string) string {
	if letters := []rune(s[:min(len(s), 4*maxQuoted)]); len(letters) > maxQuoted {
		return fmt.Sprintf("%q…", string(letters[:maxQuoted]))
	}
	return fmt.Sprintf("%q", s)
}

// clean shows an error, which may quote a stranger, without what could move a
// terminal's cursor.
func clean(err error) string {
	printable := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, strings.TrimPrefix(strings.TrimPrefix(err.Error(), "persona: "), "dnssec: "))
	return strings.ToValidUTF8(printable[:min(len(printable), 4*maxQuoted)], "")
}

// sourcesOf lists the addresses of a case's sources.
func sourcesOf(c *interop.Case) []string {
	urls := make([]string, len(c.Sources))
	for i, s := range c.Sources {
		urls[i] = s.URL
	}
	return urls
}
