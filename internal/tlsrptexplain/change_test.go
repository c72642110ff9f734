package tlsrptexplain

import (
	"fmt"
	"testing"
	"time"

	"postern/tlsrpt"
)

var october = time.Date(2024, 10, 1, 0, 0, 0, 0, time.UTC)

// day is a report about a day of October that ends as Microsoft's reports do.
func day(n int, successful, failed int64) *tlsrpt.Report {
	start := october.AddDate(0, 0, n-1)
	r := &tlsrpt.Report{
		Organization: "Big Sender", ID: start.Format("0102"), Start: start, End: start.Add(24*time.Hour - time.Second),
		Policies: []tlsrpt.PolicyResult{{
			Policy:     tlsrpt.Policy{Type: tlsrpt.PolicySTS, Domain: "receiver.example"},
			Successful: successful, Failed: failed,
		}},
	}
	if failed > 0 {
		r.Policies[0].Failures = []tlsrpt.Failure{{Result: tlsrpt.ValidationFailure, Sessions: failed}}
	}
	return r
}

// change changes a report.
func change(r *tlsrpt.Report, how func(*tlsrpt.Report)) *tlsrpt.Report {
	how(r)
	return r
}

// past returns reports as verified ones of the ledger.
func past(reports ...*tlsrpt.Report) (all []PastReport) {
	for _, r := range reports {
		all = append(all, PastReport{r, true})
	}
	return all
}

// What unverified reports say is marked.
func TestChangeSaysWhichReportsAreUnverified(t *testing.T) {
	for _, tt := range []struct {
		q    Question
		want string
	}{
		{Question{Report: day(24, 0, 27), History: []PastReport{{day(22, 40, 0), true}, {day(23, 41, 0), false}}},
			"Until 2024-10-23 all sessions succeeded (2 reports, 1 of them unverified, 81 sessions); since 2024-10-24 all sessions failed."},
		{Question{Report: day(24, 0, 27), History: []PastReport{{day(23, 41, 0), false}}},
			"Until 2024-10-23 all sessions succeeded (1 unverified report, 41 sessions); since 2024-10-24 all sessions failed."},
		{Question{Report: day(24, 0, 27), History: []PastReport{{day(23, 41, 0), true}, {day(23, 0, 9), false}}},
			"Until 2024-10-23 all sessions succeeded (1 report, 41 sessions); since 2024-10-24 all sessions failed. " +
				"An unverified report has the ID of a verified one and other counts; the verified one counts."},
		{Question{Report: day(24, 0, 27), History: []PastReport{{day(23, 41, 0), true}, {day(24, 5, 0), true}}},
			"No change: all sessions succeeded in all 2 reports since 2024-10-23. " +
				"An unverified report has the ID of a verified one and other counts; the verified one counts."},
		{Question{Report: day(24, 0, 27), Verified: true, History: []PastReport{{day(24, 0, 27), false}, {day(23, 0, 5), false}}},
			"No change: all sessions failed in all 2 reports, 1 of them unverified, since 2024-10-23."},
	} {
		all, _ := results(tt.q)
		if got := all[0].Change.Text(); got != tt.want {
			t.Errorf("\n got %s\nwant %s", got, tt.want)
		}
	}
}

// The order in which the reports arrived does not matter.
func TestChangeComparesReports(t *testing.T) {
	fine := []*tlsrpt.Report{day(22, 40, 0), day(21, 38, 0), day(23, 41, 0)}
	now := day(24, 0, 27)
	enforce := func(mode string) func(*tlsrpt.Report) {
		return func(r *tlsrpt.Report) { r.Policies[0].Policy.Strings = []string{"version: STSv1", "mode: " + mode} }
	}
	for name, tt := range map[string]struct {
		report  *tlsrpt.Report
		history []*tlsrpt.Report
		want    string
	}{
		"it begins to fail": {now, append(fine, now),
			"Until 2024-10-23 all sessions succeeded (3 reports, 119 sessions); since 2024-10-24 all sessions failed."},
		"the first report": {now, nil, "No earlier report about this policy to compare with."},
		"it goes on": {day(26, 0, 9), []*tlsrpt.Report{day(24, 0, 27), day(25, 0, 8)},
			"No change: all sessions failed in all 3 reports since 2024-10-24."},
		"it is over": {day(25, 12, 0), append(fine, now),
			"Until 2024-10-24 all sessions failed (1 report, 27 sessions); since 2024-10-25 all sessions succeeded."},
		"some only": {day(24, 30, 1), fine,
			"Until 2024-10-23 all sessions succeeded (3 reports, 119 sessions); since 2024-10-24 some sessions failed."},
		"later reports": {now, append(fine, day(25, 12, 0), day(26, 13, 0)),
			"Until 2024-10-23 all sessions succeeded (3 reports, 119 sessions); since 2024-10-24 all sessions failed. Later reports: all sessions succeeded since 2024-10-25."},
		"two reports on a day, with different counts": {now, append(fine, change(day(23, 0, 0), func(r *tlsrpt.Report) { *r = *day(23, 20, 0); r.ID = "again" })),
			"Until 2024-10-23 all sessions succeeded (4 reports, 119 sessions); since 2024-10-24 all sessions failed. Some reports cover the same hours; those hours are counted once."},
		"two reports on a day of failures": {day(25, 12, 0), []*tlsrpt.Report{now, change(day(24, 0, 9), func(r *tlsrpt.Report) { r.ID = "again" })},
			"Until 2024-10-24 all sessions failed (2 reports, 27 sessions); since 2024-10-25 all sessions succeeded. Some reports cover the same hours; those hours are counted once."},
		"a report is corrected": {now, append(fine, day(23, 50, 0)),
			"Until 2024-10-23 all sessions succeeded (3 reports, 128 sessions); since 2024-10-24 all sessions failed. A report was corrected; the last version counts."},
		"the same report twice": {now, append(fine, day(23, 41, 0), now),
			"Until 2024-10-23 all sessions succeeded (3 reports, 119 sessions); since 2024-10-24 all sessions failed."},
		"a day without sessions": {now, append(fine, day(20, 0, 0)),
			"Until 2024-10-23 all sessions succeeded (3 reports, 119 sessions); since 2024-10-24 all sessions failed."},
		"about another domain": {now, []*tlsrpt.Report{change(day(23, 5, 0), func(r *tlsrpt.Report) { r.Policies[0].Policy.Domain = "other.example" })},
			"No earlier report about this policy to compare with."},
		"the policy changed with it": {change(day(24, 0, 27), enforce("enforce")), []*tlsrpt.Report{change(day(23, 41, 0), enforce("testing"))},
			`Until 2024-10-23 all sessions succeeded (1 report, 41 sessions); since 2024-10-24 all sessions failed. ` +
				`The sender applied a different policy: before "version: STSv1; mode: testing", now "version: STSv1; mode: enforce".`},
		"no dates": {change(day(24, 0, 1), func(r *tlsrpt.Report) { r.Start, r.End = time.Time{}, time.Time{} }), fine,
			"Unknown: the report has no dates, or counts no sessions."},
	} {
		t.Run(name, func(t *testing.T) {
			all, _ := results(Question{Report: tt.report, Verified: true, History: past(tt.history...)})
			if got := all[0].Change.Text(); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// A report may have thousands of policies and failures, and so may each earlier one. The
// test would time out if the cost were not bounded.
func TestExplanationOfHugeReportsIsBounded(t *testing.T) {
	huge := func(n int) *tlsrpt.Report {
		r := day(n, 0, 0)
		r.Policies = nil
		for i := range 20_000 {
			p := tlsrpt.Policy{Type: tlsrpt.PolicySTS, Domain: fmt.Sprint(i, ".example")}
			r.Policies = append(r.Policies, tlsrpt.PolicyResult{Policy: p, Failed: int64(i)})
		}
		return r
	}
	q := Question{Report: huge(24)}
	for n := range 23 {
		q.History = append(q.History, past(huge(n+1))...)
	}
	all, more := results(q)
	if len(all) != maxResults || more != 20_000-maxResults || all[0].Failed != 19_999 {
		t.Errorf("%d results and %d more, the first with %d failures", len(all), more, all[0].Failed)
	}
}
