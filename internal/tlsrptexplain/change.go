package tlsrptexplain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/tlsrpt"
)

// A Change is how the results under one policy developed over the reports of one
// submitter.
type Change struct {
	Periods []Period // in order of time; none if the report has no dates or no sessions
	Current int      // the index of the report's own period

	Overlapping bool // reports cover the same hours with different counts: the larger count is used
	Corrected   bool // a report was corrected: the last version is used
	Contested   bool // a verified and an unverified report have the same ID and differ: the verified one is used

	// Policy says how the policy that the sender applied differs from the one before. It
	// is empty if it does not, or if the reports do not include it.
	Policy string
}

// A Period is a time in which all reports have the same state.
type Period struct {
	From, To           time.Time
	State              State
	Reports            int
	Unverified         int   // of Reports
	Successful, Failed int64 // sessions
}

// A State is the outcome of the sessions of a report.
type State string

// The states.
const (
	AllSucceeded State = "all sessions succeeded"
	SomeFailed   State = "some sessions failed"
	AllFailed    State = "all sessions failed"
)

func stateOf(successful, failed int64) State {
	switch {
	case failed == 0:
		return AllSucceeded
	case successful == 0:
		return AllFailed
	}
	return SomeFailed
}

// changeOf compares the report with its history.
func changeOf(q Question, policy tlsrpt.Policy) Change {
	var c Change
	for _, next := range c.withoutOverlaps(q, policy) {
		if last := len(c.Periods) - 1; last < 0 || c.Periods[last].State != next.State {
			c.Periods = append(c.Periods, next)
		} else {
			c.Periods[last].extend(next)
		}
	}
	c.Current = slices.IndexFunc(c.Periods, func(p Period) bool { return !q.Report.Start.Before(p.From) && q.Report.Start.Before(p.To) })
	if c.Current < 0 {
		return Change{}
	}
	return c
}

// withoutOverlaps returns one period for each report, in order of time. Reports that
// cover the same hours share one.
func (c *Change) withoutOverlaps(q Question, policy tlsrpt.Policy) (all []Period) {
	before := ""
	for _, r := range c.latest(q, policy) {
		p, applied := periodOf(r, policy)
		if p.Successful+p.Failed == 0 || !p.To.After(p.From) {
			continue
		}
		if last := len(all) - 1; last >= 0 && p.From.Before(all[last].To) {
			c.Overlapping = true
			all[last].overlap(p)
			continue
		}
		all = append(all, p)
		if applied != "" && before != "" && applied != before && p.From.Equal(q.Report.Start) {
			c.Policy = "before " + quoted(before) + ", now " + quoted(applied)
		}
		before = cmp.Or(applied, before)
	}
	return all
}

// latest returns the reports in order of time. Of several with the same ID and start it
// returns the last that arrived, and a verified one rather than an unverified one.
func (c *Change) latest(q Question, policy tlsrpt.Policy) []PastReport {
	type identity struct {
		id    string
		start time.Time
	}
	last := make(map[identity]PastReport)
	for _, r := range append([]PastReport{{q.Report, q.Verified}}, q.History...) {
		key := identity{r.ID, r.Start}
		if old, ok := last[key]; ok {
			before, _ := periodOf(old, policy)
			now, _ := periodOf(r, policy)
			before.Unverified, now.Unverified = 0, 0
			switch {
			case before == now: // copies of one report
				r.Verified = r.Verified || old.Verified
			case r.Verified == old.Verified:
				c.Corrected = true
			default:
				c.Contested = true
				if old.Verified {
					r = old
				}
			}
		}
		last[key] = r
	}
	return slices.SortedFunc(maps.Values(last), func(a, b PastReport) int {
		return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End), cmp.Compare(a.ID, b.ID))
	})
}

// periodOf returns what a report says about the policy, and the policy as the sender
// applied it.
func periodOf(r PastReport, policy tlsrpt.Policy) (p Period, applied string) {
	p = Period{From: r.Start, To: r.End, Reports: 1}
	if !r.Verified {
		p.Unverified = 1
	}
	for _, result := range r.Policies {
		if result.Policy.Type == policy.Type && strings.EqualFold(result.Policy.Domain, policy.Domain) {
			p.Successful += result.Successful
			p.Failed += result.FailedSessions()
			applied = strings.Join(result.Policy.Strings, "; ")
		}
	}
	p.State = stateOf(p.Successful, p.Failed)
	return p, applied
}

// extend adds the next period.
func (p *Period) extend(next Period) {
	p.To = next.To
	p.Reports += next.Reports
	p.Unverified += next.Unverified
	p.Successful += next.Successful
	p.Failed += next.Failed
}

// overlap adds a period that covers some of the same hours. The sum would count
// sessions twice.
func (p *Period) overlap(other Period) {
	p.Reports++
	p.Unverified += other.Unverified
	if other.To.After(p.To) {
		p.To = other.To
	}
	p.Successful, p.Failed = max(p.Successful, other.Successful), max(p.Failed, other.Failed)
	p.State = stateOf(p.Successful, p.Failed)
}

func (p Period) firstDay() string { return p.From.UTC().Format(time.DateOnly) }

// lastDay is the day of the last second: reports end at 23:59:59 or at the following
// midnight.
func (p Period) lastDay() string { return p.To.Add(-time.Second).UTC().Format(time.DateOnly) }

// reportsText is such as "6 reports, 2 of them unverified,".
func (p Period) reportsText() string {
	switch p.Unverified {
	case 0:
		return count(int64(p.Reports), "report")
	case p.Reports:
		return count(int64(p.Reports), "unverified report")
	}
	return fmt.Sprintf("%s, %d of them unverified,", count(int64(p.Reports), "report"), p.Unverified)
}

// Text says what changed, in sentences.
func (c Change) Text() string {
	if len(c.Periods) == 0 {
		return "Unknown: the report has no dates, or counts no sessions."
	}
	current := c.Periods[c.Current]
	var text []string
	switch {
	case c.Current > 0:
		before := c.Periods[c.Current-1]
		text = append(text, fmt.Sprintf("Until %s %s (%s, %s); since %s %s.", before.lastDay(), before.State,
			strings.TrimSuffix(before.reportsText(), ","), count(before.Successful+before.Failed, "session"), current.firstDay(), current.State))
	case current.Reports > 1:
		text = append(text, fmt.Sprintf("No change: %s in all %s since %s.", current.State, current.reportsText(), current.firstDay()))
	default:
		text = append(text, "No earlier report about this policy to compare with.")
	}
	if c.Current+1 < len(c.Periods) {
		later := c.Periods[c.Current+1]
		text = append(text, fmt.Sprintf("Later reports: %s since %s.", later.State, later.firstDay()))
	}
	if c.Policy != "" {
		text = append(text, "The sender applied a different policy: "+c.Policy+".")
	}
	if c.Overlapping {
		text = append(text, "Some reports cover the same hours; those hours are counted once.")
	}
	if c.Corrected {
		text = append(text, "A report was corrected; the last version counts.")
	}
	if c.Contested {
		text = append(text, "An unverified report has the ID of a verified one and other counts; the verified one counts.")
	}
	return strings.Join(text, " ")
}
