package tlsrptexplain

import (
	"fmt"
	"math"

	"postern/internal/smtp"
	"postern/tlsrpt"
)

// Totals are the sessions that a report counts. All commands show the same numbers, and
// [Totals.Remark] beside them.
type Totals struct {
	Successful, Failed int64

	// Detailed is the sum of the failure details. It differs from Failed in some reports: a
	// session can have several failures, and some submitters count wrongly.
	Detailed int64
}

// TotalsOf returns the sessions in a report that are for a policy domain, or all if domain is
// empty.
func TotalsOf(r *tlsrpt.Report, domain string) (t Totals) {
	domain = smtp.FoldDomain(domain)
	for _, p := range r.Policies {
		if domain == "" || smtp.FoldDomain(p.Policy.Domain) == domain {
			t = t.plus(PolicyTotals(p))
		}
	}
	return t
}

// PolicyTotals returns the sessions under one policy.
func PolicyTotals(p tlsrpt.PolicyResult) Totals {
	return Totals{p.Successful, p.FailedSessions(), p.DetailedSessions()}
}

func (t Totals) plus(o Totals) Totals {
	return Totals{add(t.Successful, o.Successful), add(t.Failed, o.Failed), add(t.Detailed, o.Detailed)}
}

// FailedText is such as "1 failed (failure details add up to 2)".
func (t Totals) FailedText() string {
	text := fmt.Sprintf("%d failed", t.Failed)
	if remark := t.Remark(); remark != "" {
		text += " (" + remark + ")"
	}
	return text
}

// Remark says how the failure details differ from Failed. It is empty if they do not.
func (t Totals) Remark() string {
	switch t.Detailed {
	case t.Failed:
		return ""
	case 0:
		return "no failure details"
	}
	return fmt.Sprintf("failure details add up to %d", t.Detailed)
}

// add returns the sum or, if it overflows, the largest number: a report may contain any
// numbers.
func add(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
