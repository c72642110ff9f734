package tlsrptexplain

import (
	"cmp"
	"fmt"
	"slices"

	"postern/tlsrpt"
)

// A Said is a result type, for the sessions that were counted under it.
type Said struct {
	Result   tlsrpt.ResultType
	Sessions int64
	Reasons  []string // failure-reason-code and additional-information, as the sender wrote them: the first few
	Word
}

const (
	maxReasons = 3
	maxSaid    = 20 // the RFC has 11 types; a stranger may make up as many as fit
)

// saidOf counts a policy's failures by their types, the most first.
func saidOf(p tlsrpt.PolicyResult) (all []Said) {
	at := make(map[tlsrpt.ResultType]int)
	for _, f := range p.Failures {
		i, known := at[f.Result]
		if !known {
			i = len(all)
			at[f.Result] = i
			all = append(all, Said{Result: f.Result, Word: words[f.Result]})
		}
		all[i].Sessions += f.Sessions
		all[i].give(f.ReasonCode, f.AdditionalInfo)
	}
	slices.SortStableFunc(all, func(a, b Said) int { return cmp.Compare(b.Sessions, a.Sessions) })
	return all[:min(len(all), maxSaid)]
}

func (s *Said) give(reasons ...string) {
	for _, r := range reasons {
		if r != "" && len(s.Reasons) < maxReasons && !slices.Contains(s.Reasons, r) {
			s.Reasons = append(s.Reasons, r)
		}
	}
}

// Text says what the type means, in a paragraph.
func (s Said) Text() string {
	switch {
	case s.Result == "":
		return "The report names no result type for these."
	case !s.Known():
		return quoted(string(s.Result)) + " is no result type of RFC 8460, and is not known here: only its sender can say what it means."
	}
	return fmt.Sprintf("%s It can be: %s %s", s.Says, lower(s.Can), s.Cannot)
}
