package probe

import (
	"fmt"
	"slices"
)

// personas tells which senders are kept out. Where nobody gets in there is nothing to
// be said of one: see offered.
func personas(e *exam) []Finding {
	if !e.lets() {
		return nil
	}
	var found []Finding
	untold := 0
	for i := range e.visits {
		v := &e.visits[i]
		switch {
		case v.Fate == Untold:
			untold++
		case v.Fate == Out && v.Persona.Case != "certificate-refused": // see certificate
			found = append(found, e.keptOut(v))
		}
	}
	if untold > 0 && e.last != nil && e.last.In {
		found = append(found, Finding{
			ID: "untold", Severity: Unclear,
			Title:    fmt.Sprintf("%d of %d senders could not be tried", untold, len(e.visits)),
			Evidence: []string{e.reason()},
			Advice:   everyone("Let the address of this machine have more connections, or try again later."),
		})
	}
	return found
}

// lets tells whether the server lets anybody in.
func (e *exam) lets() bool {
	return e.first.In || slices.ContainsFunc(e.visits, func(v Visit) bool { return v.Fate == In })
}

// reason is why the first untold visit did not come to TLS.
func (e *exam) reason() string {
	for _, v := range e.visits {
		if v.Fate == Untold && v.Err != nil {
			return v.Persona.ID + ": " + clean(v.Err)
		}
	}
	return "the server did not answer"
}
