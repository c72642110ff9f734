package alert

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"postern/internal/ledger"
	"postern/internal/safetext"
)

const (
	// reportTime is how far back reports are compared. They come once a day.
	reportTime = 14 * 24 * time.Hour

	// reportInterval is how often reports are read.
	reportInterval = 10 * time.Minute

	// maxReports bounds the reports that are read.
	maxReports = 5000

	// A report is bad with so many failed sessions, and such a share of all.
	badSessions = 2
	badShare    = 0.05
)

// A reportRule says which submitters of verified TLS reports have turned bad.
type reportRule struct {
	read time.Time
	last []Condition
}

func (rule *reportRule) conditions(ctx context.Context, reader *ledger.Reader, now time.Time) ([]Condition, error) {
	if now.Sub(rule.read) < reportInterval {
		return rule.last, nil
	}
	reports, err := reader.Reports(ctx, ledger.ReportFilter{Since: now.Add(-reportTime), Verified: true, Limit: maxReports})
	if err != nil {
		return nil, err
	}
	rule.read, rule.last = now, turnedBad(reports)
	return rule.last, nil
}

// A span is what the reports of one submitter about the same time say together: some send one
// for each policy domain.
type span struct {
	start              time.Time
	id                 int64 // of a bad one, else of the last
	successful, failed int64
	domains            []string // of the bad ones
}

func (s span) bad() bool {
	return s.failed >= badSessions && float64(s.failed) >= badShare*float64(s.failed+s.successful)
}

// turnedBad returns which submitters' last reports are bad, where a report before was good.
func turnedBad(reports []ledger.Report) (all []Condition) {
	bySubmitter := make(map[string]map[time.Time]*span)
	for _, r := range reports {
		if r.Start.IsZero() || r.Successful+r.Failed == 0 {
			continue
		}
		spans := bySubmitter[r.Submitter]
		if spans == nil {
			spans = make(map[time.Time]*span)
			bySubmitter[r.Submitter] = spans
		}
		s := spans[r.Start]
		if s == nil {
			s = &span{start: r.Start, id: r.ID}
			spans[r.Start] = s
		}
		s.successful, s.failed = s.successful+r.Successful, s.failed+r.Failed
		if r.Failed > 0 {
			s.id, s.domains = r.ID, append(s.domains, r.Domains...)
		}
	}
	for submitter, spans := range bySubmitter {
		if c, bad := lastOf(submitter, spans); bad {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Condition) int { return cmp.Compare(a.Subject, b.Subject) })
	return all
}

// lastOf says whether the last report of a submitter is bad, and since when.
func lastOf(submitter string, spans map[time.Time]*span) (c Condition, bad bool) {
	inOrder := slices.SortedFunc(maps.Values(spans), func(a, b *span) int { return b.start.Compare(a.start) }) // the newest first
	good := slices.IndexFunc(inOrder, func(s *span) bool { return !s.bad() })
	if good < 1 {
		return c, false
	}
	last, first := inOrder[0], inOrder[good-1]
	slices.Sort(last.domains)
	domains := slices.Compact(last.domains)
	about := strings.Join(domains[:min(len(domains), maxShown)], ", ")
	if more := len(domains) - maxShown; more > 0 {
		about += fmt.Sprintf(" and %d more", more)
	}
	return Condition{
		Kind: ReportTurnedBad, Subject: submitter, Since: first.start,
		Text: fmt.Sprintf("The verified TLS report of %s for %s says that %d of %d sessions failed, about %s; the last good one is for %s.",
			safetext.Printable(submitter), last.start.UTC().Format(time.DateOnly), last.failed, last.failed+last.successful,
			safetext.Printable(about), inOrder[good].start.UTC().Format(time.DateOnly)),
		Next: fmt.Sprintf("See why with postern report explain %d.", last.id),
	}, true
}
