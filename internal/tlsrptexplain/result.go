package tlsrptexplain

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

// maxResults bounds what is explained: a report has one policy or two, and room for thousands.
const maxResults = 20

// results are those of the report with most failures, and how many more there are.
func results(q Question) (all []Result, more int) {
	policies := slices.Clone(q.Report.Policies)
	slices.SortStableFunc(policies, func(a, b tlsrpt.PolicyResult) int { return cmp.Compare(failedOf(b), failedOf(a)) })
	for _, p := range policies[:min(len(policies), maxResults)] {
		all = append(all, Result{
			Policy: p.Policy, Successful: p.Successful, Failed: failedOf(p),
			Said: saidOf(p), failures: p.Failures, Change: changeOf(q, p.Policy),
		})
	}
	return all, len(policies) - len(all)
}

// failedOf is the total, or what the details come to: some senders' totals are less (mail.ru's,
// for one).
func failedOf(p tlsrpt.PolicyResult) (n int64) {
	for _, f := range p.Failures {
		n += f.Sessions
	}
	return max(n, p.Failed)
}

// leading is the result type of most failed sessions, empty if there is none.
func (r Result) leading() tlsrpt.ResultType {
	if len(r.Said) == 0 {
		return ""
	}
	return r.Said[0].Result
}
