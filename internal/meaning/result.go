package meaning

import (
	"cmp"
	"slices"

	"postern/tlsrpt"
)

// A Result is what a report says about one policy, with what it means.
type Result struct {
	Policy             tlsrpt.Policy
	Successful, Failed int64 // sessions
	Said               []Said
	Change             Change

	failures []tlsrpt.Failure
}

// results are those of the report, that with most failures first.
func results(q Question) []Result {
	all := make([]Result, 0, len(q.Report.Policies))
	for _, p := range q.Report.Policies {
		all = append(all, Result{
			Policy: p.Policy, Successful: p.Successful, Failed: max(p.Failed, sum(p.Failures)),
			Said: saidOf(p), failures: p.Failures, Change: changeOf(q, p.Policy),
		})
	}
	slices.SortStableFunc(all, func(a, b Result) int { return cmp.Compare(b.Failed, a.Failed) })
	return all
}

// sum is what the details come to: some senders' totals are less (mail.ru's, for one).
func sum(failures []tlsrpt.Failure) (n int64) {
	for _, f := range failures {
		n += f.Sessions
	}
	return n
}

// leading is the result type of most failed sessions, empty if there is none.
func (r Result) leading() tlsrpt.ResultType {
	if len(r.Said) == 0 {
		return ""
	}
	return r.Said[0].Result
}
