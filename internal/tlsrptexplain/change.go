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

// A Change is how a policy went, report after report, in the words of one submitter.
type Change struct {
	Periods []Period // in the order of time; none where the report has no dates or no sessions
	Current int      // the run that the report is of

	Overlapping bool // reports speak of the same hours with different counts: the worse count
	Corrected   bool // a report was corrected: what came last counts

	// Policy says how the policy that the sender saw differs from the one before; empty: it does
	// not, or the sender does not tell.
	Policy string
}

// changeOf lays the report beside those of the history.
func changeOf(q Question, policy tlsrpt.Policy) Change {
	var c Change
	spans := c.spans(q, policy)
	for _, s := range spans {
		if last := len(c.Periods) - 1; last < 0 || c.Periods[last].State != s.State {
			c.Periods = append(c.Periods, s)
		} else {
			c.Periods[last].join(s)
		}
	}
	c.Current = slices.IndexFunc(c.Periods, func(r Period) bool { return !q.Report.Start.Before(r.From) && q.Report.Start.Before(r.To) })
	if c.Current < 0 {
		return Change{}
	}
	return c
}

// spans are what the reports say of the policy, in the order of time, without overlaps.
func (c *Change) spans(q Question, policy tlsrpt.Policy) (spans []Period) {
	before := ""
	for _, r := range c.standing(q, policy) {
		s, seen := told(r, policy)
		if s.Successful+s.Failed == 0 || !s.To.After(s.From) {
			continue
		}
		if last := len(spans) - 1; last >= 0 && s.From.Before(spans[last].To) {
			c.Overlapping = true
			spans[last].overlay(s)
			continue
		}
		spans = append(spans, s)
		if seen != "" && before != "" && seen != before && s.From.Equal(q.Report.Start) {
			c.Policy = "before it was " + quoted(before) + ", now it is " + quoted(seen)
		}
		before = cmp.Or(seen, before)
	}
	return spans
}

// standing are the reports in the order of time; where several have their ID and start in common, the
// one that came last.
func (c *Change) standing(q Question, policy tlsrpt.Policy) []*tlsrpt.Report {
	type identity struct {
		id    string
		start time.Time
	}
	last := make(map[identity]*tlsrpt.Report)
	for _, r := range append([]*tlsrpt.Report{q.Report}, q.History...) {
		key := identity{r.ID, r.Start}
		if old := last[key]; old != nil {
			before, _ := told(old, policy)
			now, _ := told(r, policy)
			c.Corrected = c.Corrected || before != now
		}
		last[key] = r
	}
	return slices.SortedFunc(maps.Values(last), func(a, b *tlsrpt.Report) int {
		return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End), cmp.Compare(a.ID, b.ID))
	})
}

// told is what a report says of the policy, and the policy as the sender saw it.
func told(r *tlsrpt.Report, policy tlsrpt.Policy) (Period, string) {
	s := Period{From: r.Start, To: r.End, Reports: 1}
	var seen string
	for _, p := range r.Policies {
		if p.Policy.Type == policy.Type && strings.EqualFold(p.Policy.Domain, policy.Domain) {
			s.Successful += p.Successful
			s.Failed += failedOf(p)
			seen = strings.Join(p.Policy.Strings, "; ")
		}
	}
	s.State = stateOf(s.Successful, s.Failed)
	return s, seen
}

// Text says what changed, in sentences.
func (c Change) Text() string {
	if len(c.Periods) == 0 {
		return "Not known: the report has no dates, or no sessions."
	}
	here := c.Periods[c.Current]
	var said []string
	switch {
	case c.Current > 0:
		before := c.Periods[c.Current-1]
		said = append(said, fmt.Sprintf("Until %s %s (%s, %s); since %s %s.", before.lastDay(), before.State,
			count(int64(before.Reports), "report"), count(before.Successful+before.Failed, "session"), here.firstDay(), here.State))
	case here.Reports > 1:
		said = append(said, fmt.Sprintf("Nothing: in all %d reports since %s %s.", here.Reports, here.firstDay(), here.State))
	default:
		said = append(said, "Nothing to compare with: no earlier report about this policy is kept.")
	}
	if c.Current+1 < len(c.Periods) {
		later := c.Periods[c.Current+1]
		said = append(said, fmt.Sprintf("Later reports: since %s %s.", later.firstDay(), later.State))
	}
	if c.Policy != "" {
		said = append(said, "The sender saw another policy: "+c.Policy+".")
	}
	if c.Overlapping {
		said = append(said, "Some reports are about the same hours: they are counted once.")
	}
	if c.Corrected {
		said = append(said, "One was corrected: what came last counts.")
	}
	return strings.Join(said, " ")
}

// A Period is a time in which all reports say the same of a policy.
type Period struct {
	From, To           time.Time
	State              State
	Reports            int
	Successful, Failed int64
}

// A State is how the sessions of a report went.
type State string

// The states.
const (
	AllSucceeded State = "all sessions got in"
	SomeFailed   State = "some sessions failed"
	AllFailed    State = "no session got in"
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

// join takes in the next span.
func (r *Period) join(s Period) {
	r.To = s.To
	r.Reports += s.Reports
	r.Successful += s.Successful
	r.Failed += s.Failed
}

// overlay takes in a span about hours that r is about too: adding up would count sessions twice.
func (r *Period) overlay(s Period) {
	r.Reports++
	if s.To.After(r.To) {
		r.To = s.To
	}
	r.Successful, r.Failed = max(r.Successful, s.Successful), max(r.Failed, s.Failed)
	r.State = stateOf(r.Successful, r.Failed)
}

func (r Period) firstDay() string { return r.From.UTC().Format(time.DateOnly) }

// lastDay is that of the last instant: reports end at 23:59:59, or at the midnight behind.
func (r Period) lastDay() string { return r.To.Add(-time.Second).UTC().Format(time.DateOnly) }
