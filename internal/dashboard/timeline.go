package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"postern/internal/jsonout"
	"postern/internal/ledger"
	"postern/internal/safetext"
)

// A timeline is what happened in a span, to be drawn, with the same in words.
//
// Positions on the time axis are per cent of the width, and heights are pixels, so the drawing
// becomes narrow without its text becoming small.
type timeline struct {
	Span     span
	Period   string // its length in words
	Total    ledger.Period
	Failed   int64 // of Total, without scanners
	Scanners int64 // handshakes of scanners, which are not drawn

	// The most in a period, for the scale of each lane.
	MostSessions, MostFailed, MostRefused int64

	Periods []ledger.Period // in which something happened
	Days    []ledger.ReportDay
	Events  []ledger.Event // the newest first
	More    int            // events that are not listed

	Cases    []series
	Sessions []bar
	Failures []bar
	Refusals []bar
	Reports  []bar
	Markers  []marker
	Ticks    []tick

	JSON jsonout.Timeline

	from, to time.Time     // of the axis: whole periods
	long     time.Duration // of a period
}

// A series is a case of failed handshakes with a look of its own.
type series struct {
	Case, Class string
	Count       int64
}

// A bar is drawn for a period or a day.
type bar struct {
	Title string
	Parts []part
}

// A part of a bar is a rectangle.
type part struct {
	Class string
	Fill  string // a pattern; empty for the color of the class
	X, W  string
	Y, H  float64
}

// A marker is drawn for an event.
type marker struct{ X, Title string }

// A tick is a time below the axis.
type tick struct{ X, Anchor, Text string }

// The places of the lanes, in pixels from the top.
const (
	sessionsTop, sessionsHeight = 20, 90
	failedTop, failedHeight     = 132, 60
	verifiedTop, unverifiedTop  = 232, 274
	reportHeight                = 18
	refusalsTop, refusalsHeight = 316, 28

	// leastHeight is that of a part that must be seen, however few sessions it is for.
	leastHeight = 3

	// goodHeight is that of a day whose reports have no failed sessions: those that have are
	// taller, so that color is not all that differs.
	goodHeight = 5
)

const (
	maxBars   = 100
	maxSeries = 3  // cases with a look of their own
	maxEvents = 50 // read: more lines look like one
	maxListed = 10 // events listed

	// leastFailed is the least scale of the lane of failed handshakes: a single one does not
	// look like many.
	leastFailed = 5
)

// periodLengths are the lengths of periods to choose from.
var periodLengths = []struct {
	long  time.Duration
	words string
}{
	{ledger.ShortPeriod, "30 minutes"},
	{time.Hour, "1 hour"},
	{3 * time.Hour, "3 hours"},
	{6 * time.Hour, "6 hours"},
	{24 * time.Hour, "1 day"},
	{7 * 24 * time.Hour, "7 days"},
	{50 * 7 * 24 * time.Hour, "50 weeks"},
}

// periodLength returns the shortest length that makes no more than maxBars.
func periodLength(of time.Duration) (long time.Duration, words string) {
	for _, l := range periodLengths {
		if long, words = l.long, l.words; of <= maxBars*long {
			break
		}
	}
	return long, words
}

// timeline reads what happened in a span.
func (d *Dashboard) timeline(ctx context.Context, book *ledger.Reader, of span) (*timeline, error) {
	if first := of.To.Add(-maxBars * periodLengths[len(periodLengths)-1].long); of.From.Before(first) {
		of.From = first
	}
	long, words := periodLength(of.To.Sub(of.From))
	in := of.inLedger()
	t := &timeline{Span: of, Period: words, long: long, from: of.From.Truncate(long), to: of.To.Add(long - 1).Truncate(long)}
	if long > 24*time.Hour { // Truncate counts from another day than the ledger does
		t.from, t.to = of.From, of.To
	}
	var err error
	if t.Periods, err = book.Periods(ctx, in, long); err != nil {
		return nil, err
	}
	if t.Days, err = book.ReportDays(ctx, in); err != nil {
		return nil, err
	}
	if t.Events, err = book.Events(ctx, in, maxEvents); err != nil {
		return nil, err
	}
	t.JSON = jsonout.NewTimeline(in, long, t.Periods, t.Days, t.Events)
	t.count()
	t.draw()
	return t, nil
}

// count sums what happened, and chooses the cases with a look of their own.
func (t *timeline) count() {
	for i := range t.Periods {
		p := &t.Periods[i]
		t.Scanners += p.Failed[ledger.Scanner]
		p.Failed = maps.Clone(p.Failed)
		delete(p.Failed, ledger.Scanner)
		t.Total.Add(*p)
		t.MostSessions = max(t.MostSessions, sessions(*p))
		t.MostFailed = max(t.MostFailed, failures(*p))
		t.MostRefused = max(t.MostRefused, p.Deferred+p.Refused)
	}
	t.Periods = slices.DeleteFunc(t.Periods, func(p ledger.Period) bool { return sessions(p)+p.Deferred+p.Refused == 0 })
	t.Failed = failures(t.Total)
	ids := slices.SortedFunc(maps.Keys(t.Total.Failed), func(a, b string) int {
		return cmp.Or(cmp.Compare(t.Total.Failed[b], t.Total.Failed[a]), strings.Compare(a, b))
	})
	for i, id := range ids {
		if i > maxSeries {
			t.Cases[maxSeries].Case = "other cases"
			t.Cases[maxSeries].Count += t.Total.Failed[id]
			continue
		}
		t.Cases = append(t.Cases, series{id, fmt.Sprint("failed", i), t.Total.Failed[id]})
	}
}

func failures(p ledger.Period) (n int64) {
	for _, count := range p.Failed {
		n += count
	}
	return n
}

func sessions(p ledger.Period) int64 { return p.Full + p.Resumed + p.Plaintext + failures(p) }

func (t *timeline) draw() {
	for _, p := range t.Periods {
		end := p.Start.Add(t.long)
		when := t.clock(p.Start) + " to " + t.clock(end)
		if t.long == 24*time.Hour {
			when = t.Begin(p)
		}
		if sessions(p) > 0 {
			t.Sessions = append(t.Sessions, bar{when + ": " + sessionWords(p), t.stack(p, end)})
		}
		if failures(p) > 0 {
			t.Failures = append(t.Failures, bar{when + ": " + t.CasesOf(p), t.stackFailed(p, end)})
		}
		if p.Deferred+p.Refused > 0 {
			parts := column{bottom: refusalsTop + refusalsHeight, height: refusalsHeight, most: t.MostRefused}
			parts.add("deferred", p.Deferred, leastHeight)
			parts.add("refused", p.Refused, leastHeight)
			t.Refusals = append(t.Refusals, bar{when + ": " + refusedWords(p), t.place(parts.parts, p.Start, end)})
		}
	}
	for _, day := range t.Days {
		t.Reports = append(t.Reports, t.reported(day))
	}
	for _, e := range t.Events {
		t.Markers = append(t.Markers, marker{t.x(e.At), stamp(e.At) + ": " + eventWords(e)})
	}
	if listed := min(len(t.Events), maxListed); listed < len(t.Events) {
		t.Events, t.More = t.Events[:listed], len(t.Events)-listed
	}
	t.scale()
}

// stack returns the parts of a period's sessions. Failed ones stand on the axis, where a row of
// them is seen best.
func (t *timeline) stack(p ledger.Period, end time.Time) []part {
	parts := column{bottom: sessionsTop + sessionsHeight, height: sessionsHeight, most: t.MostSessions}
	parts.add("bad", failures(p), leastHeight)
	parts.add("plaintext", p.Plaintext, leastHeight)
	parts.add("full", p.Full, 1)
	parts.add("resumed", p.Resumed, 1)
	return t.place(parts.parts, p.Start, end)
}

// stackFailed returns the parts of a period's failed handshakes, on a scale of their own: among
// many sessions, the cases of a few that fail could not be seen.
func (t *timeline) stackFailed(p ledger.Period, end time.Time) []part {
	parts := column{bottom: failedTop + failedHeight, height: failedHeight, most: max(t.MostFailed, leastFailed)}
	others := failures(p)
	for _, one := range t.Cases[:min(len(t.Cases), maxSeries)] {
		parts.add(one.Class, p.Failed[one.Case], leastHeight)
		others -= p.Failed[one.Case]
	}
	parts.add(fmt.Sprint("failed", maxSeries), others, leastHeight)
	return t.place(parts.parts, p.Start, end)
}

// A column is a stack of parts, from the bottom up.
type column struct {
	bottom, height float64
	most           int64 // the count of a full column
	parts          []part
	used           float64
}

// add adds a part for n, at least so high.
func (c *column) add(class string, n int64, least float64) {
	if n == 0 {
		return
	}
	high := max(least, c.height*float64(n)/float64(c.most))
	high = min(high, c.height-c.used)
	from := math.Round(c.bottom - c.used)
	c.used += high
	to := math.Round(c.bottom - c.used)
	c.parts = append(c.parts, part{Class: class, Y: to, H: from - to})
}

// place sets where parts are on the time axis, with a gap after them: that of a period, also after
// a day of many periods.
func (t *timeline) place(parts []part, from, to time.Time) []part {
	begin, end := t.share(from), t.share(to)
	gap := .12 * min(end-begin, float64(t.long)/float64(t.to.Sub(t.from)))
	for i := range parts {
		parts[i].X, parts[i].W = percent(begin), percent(end-begin-gap)
	}
	return parts
}

// reported returns the bar of a day's reports.
func (t *timeline) reported(d ledger.ReportDay) bar {
	one := part{Class: "good", Y: verifiedTop + reportHeight - goodHeight, H: goodHeight}
	if d.Failing > 0 {
		one.Class, one.Y, one.H = "bad", verifiedTop, reportHeight
	}
	if !d.Verified {
		one.Fill = "url(#hatch-" + one.Class + ")"
		one.Y += unverifiedTop - verifiedTop
	}
	return bar{d.Day.Format(time.DateOnly) + ": " + reportWords(d), t.place([]part{one}, d.Day, d.Day.Add(24*time.Hour))}
}

// share returns the place of a time as a part of the axis.
func (t *timeline) share(at time.Time) float64 {
	return min(1, max(0, float64(at.Sub(t.from))/float64(t.to.Sub(t.from))))
}

func (t *timeline) x(at time.Time) string { return percent(t.share(at)) }

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 2, 64) + "%" }

// tickSteps are the times between ticks to choose from.
var tickSteps = []time.Duration{
	time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 2 * 24 * time.Hour, 7 * 24 * time.Hour,
	14 * 24 * time.Hour, 28 * 24 * time.Hour, 182 * 24 * time.Hour, 3640 * 24 * time.Hour,
}

// maxTicks is how many ticks have room at 390 pixels.
const maxTicks = 7

// scale makes the ticks.
func (t *timeline) scale() {
	long := t.to.Sub(t.from)
	step := tickSteps[len(tickSteps)-1]
	for _, one := range tickSteps {
		if long <= maxTicks*one {
			step = one
			break
		}
	}
	for at := t.from.Truncate(step); at.Before(t.to); at = at.Add(step) {
		if at.Before(t.from) {
			continue
		}
		anchor := "middle"
		switch share := t.share(at); {
		case share < .05:
			anchor = "start"
		case share > .95:
			anchor = "end"
		}
		t.Ticks = append(t.Ticks, tick{t.x(at), anchor, t.tick(at, step)})
	}
}

func (t *timeline) tick(at time.Time, step time.Duration) string {
	switch at = at.UTC(); {
	case step < 24*time.Hour && at.Hour()+at.Minute() > 0:
		return at.Format("15:04")
	case step > 60*24*time.Hour:
		return at.Format("2006-01")
	}
	return at.Format("Jan 2")
}

// Begin is when a period begins: the day, if it is as long as that or longer.
func (t *timeline) Begin(p ledger.Period) string {
	if t.long >= 24*time.Hour {
		return p.Start.Format(time.DateOnly)
	}
	return stamp(p.Start)
}

// clock is a time as short as the span allows.
func (t *timeline) clock(at time.Time) string { return at.UTC().Format("01-02 15:04") }

// Empty reports whether there is nothing to draw.
func (t *timeline) Empty() bool {
	return len(t.Periods) == 0 && len(t.Days) == 0 && len(t.Events) == 0
}

// Summary is the drawing in a sentence.
func (t *timeline) Summary() string {
	var reports, failing [2]int64 // of all, of verified ones
	for _, d := range t.Days {
		for i, counts := range []bool{true, d.Verified} {
			if counts {
				reports[i], failing[i] = reports[i]+d.Reports, failing[i]+d.Failing
			}
		}
	}
	text := "No sessions"
	if sessions(t.Total) > 0 {
		text = "Sessions: " + sessionWords(t.Total)
		if t.Failed > 0 {
			text += " (" + t.CasesOf(t.Total) + ")"
		}
	}
	text += ". No TLS reports"
	if reports[0] > 0 {
		text = fmt.Sprintf("%s. %d verified TLS reports, %d with failed sessions; %d unverified ones, %d with failed sessions",
			strings.TrimSuffix(text, ". No TLS reports"), reports[1], failing[1], reports[0]-reports[1], failing[0]-failing[1])
	}
	if t.Total.Deferred+t.Total.Refused > 0 {
		return text + ". Commands: " + refusedWords(t.Total) + "."
	}
	return text + ". No refused commands."
}

// sessionWords is what the sessions of a period were.
func sessionWords(p ledger.Period) string {
	return fmt.Sprintf("%d full, %d resumed, %d plaintext, %d failed", p.Full, p.Resumed, p.Plaintext, failures(p))
}

// CasesOf is the failed handshakes of a period by case, in words: those with a look of their own,
// and the others together.
func (t *timeline) CasesOf(p ledger.Period) string {
	var all []string
	others := failures(p)
	for _, one := range t.Cases[:min(len(t.Cases), maxSeries)] {
		if n := p.Failed[one.Case]; n > 0 {
			all = append(all, fmt.Sprint(safetext.Shorten(one.Case, 80), " ", n))
			others -= n
		}
	}
	if others > 0 {
		all = append(all, fmt.Sprint("other cases ", others))
	}
	return strings.Join(all, ", ")
}

// Sum is the number of a period's failed handshakes.
func (t *timeline) Sum(p ledger.Period) int64 { return failures(p) }

func refusedWords(p ledger.Period) string {
	return fmt.Sprintf("%d deferred (4xx), %d refused (5xx)", p.Deferred, p.Refused)
}

func reportWords(d ledger.ReportDay) string {
	kind := "unverified"
	if d.Verified {
		kind = "verified"
	}
	reports := "reports"
	if d.Reports == 1 {
		reports = "report"
	}
	return fmt.Sprintf("%d %s %s, %d with failures: %d of %d sessions failed",
		d.Reports, kind, reports, d.Failing, d.Failed, d.Failed+d.Successful)
}

// eventWords is an event as a line.
func eventWords(e ledger.Event) string {
	kinds := map[ledger.EventKind]string{
		ledger.CertificateChanged: "certificate", ledger.Reloaded: "reload", ledger.PolicyChanged: "MTA-STS policy",
		ledger.VersionChanged: "Postern", ledger.GoVersionChanged: "Go",
	}
	text := cmp.Or(kinds[e.Kind], string(e.Kind))
	for _, more := range []string{e.Subject, e.Text} {
		if more != "" {
			text += " " + safetext.Shorten(more, 120)
		}
	}
	if e.Host != "" {
		text += " at " + safetext.Shorten(e.Host, 60)
	}
	return text
}
