package tlsrpt

import "fmt"

// maxWarnings bounds the warnings of one report. Whoever needs more has seen enough.
const maxWarnings = 100

// A Warning is something odd about a report or its mail. Its texts are fit for a terminal.
type Warning struct {
	Field string // where, as in policies[0].policy.policy-string; empty for the whole
	Text  string // what
}

// String gives "field: text".
func (w Warning) String() string {
	if w.Field == "" {
		return w.Text
	}
	return w.Field + ": " + w.Text
}

// warnings gathers them while a report is read.
type warnings []Warning

func (w *warnings) add(field, format string, args ...any) {
	switch {
	case len(*w) < maxWarnings:
		*w = append(*w, Warning{field, fmt.Sprintf(format, args...)})
	case len(*w) == maxWarnings:
		*w = append(*w, Warning{"", "more warnings follow that are not kept"})
	}
}
