package main

import (
	"fmt"
	"strings"
	"time"

	"postern/internal/probe"
)

// stateWords are what monitoring systems call the states.
var stateWords = map[probe.Severity]string{
	probe.Fine: "OK", probe.Notice: "OK", probe.Unclear: "UNKNOWN", probe.Warning: "WARNING", probe.Critical: "CRITICAL",
}

// checkLine says all in one line: the state, the worst finding, and behind a bar the
// figures as monitoring plugins give them.
func checkLine(target string, result probed) string {
	if result.err != nil {
		return fmt.Sprintf("UNKNOWN %s: %s", printable(target), withoutBar(result.err.Error()))
	}
	findings := result.report.Findings()
	said := "nothing to mend"
	if worst := findings[0]; worst.Severity > probe.Notice {
		said = worst.Title
		if more := count(findings, probe.Unclear) - 1; more > 0 {
			said += fmt.Sprintf(" (and %d more)", more)
		}
	}
	return fmt.Sprintf("%s %s: %s | %s", stateWords[result.report.Severity()], printable(target), withoutBar(said), figures(result.report))
}

func withoutBar(s string) string { return strings.ReplaceAll(printable(s), "|", "/") }

// count is how many findings are at least so severe.
func count(findings []probe.Finding, least probe.Severity) (n int) {
	for _, f := range findings {
		if f.Severity >= least {
			n++
		}
	}
	return n
}

// figures are performance data: label=value[unit].
func figures(r *probe.Report) string {
	in, out, untold := 0, 0, 0
	for _, h := range r.Hosts {
		for _, a := range h.Addresses {
			for _, v := range a.Visits {
				switch v.Fate {
				case probe.Out:
					out++
				case probe.Untold:
					untold++
				default:
					in++
				}
			}
		}
	}
	findings := r.Findings()
	critical := count(findings, probe.Critical)
	return fmt.Sprintf("critical=%d warnings=%d in=%d out=%d untold=%d time=%.3fs",
		critical, count(findings, probe.Warning)-critical, in, out, untold, r.Took.Round(time.Millisecond).Seconds())
}
