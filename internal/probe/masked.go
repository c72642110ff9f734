package probe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"postern/interop"
)

// mask is what inspecting firewalls make of what they do not know.
var mask = regexp.MustCompile(`^(?:\*{4,}.*|X{4,}[A-Z]?)$`)

// masked looks for the marks of a firewall that rewrites SMTP.
func masked(e *exam) []Finding {
	lines := slices.Concat(strings.Split(withoutCodes(e.first.Greeting), "\n"), strings.Split(withoutCodes(e.first.EHLO), "\n"))
	i := slices.IndexFunc(lines, mask.MatchString)
	if i < 0 {
		return nil
	}
	known, _ := interop.Find("inspected-by-firewall")
	return []Finding{{
		ID: known.ID, Severity: Warning, Case: known,
		Title:    "A firewall rewrites what the server says",
		Evidence: []string{fmt.Sprintf("it says %+q", lines[i])},
		Advice:   known.Remedy.Others, Sources: sourcesOf(known),
	}}
}
