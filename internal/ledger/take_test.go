package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/internal/fallback"
	"postern/internal/testlog"
	"postern/sessionticket"
)

// A member is the store of a host of a fleet.
type member struct {
	*store
	name string
}

func newMember(t fataler, path, name string) *member {
	s, _, err := openStore(path, migrations())
	if err == nil {
		err = s.register(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &member{s, name}
}

// fataler is a test, of rapid or not.
type fataler interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// recorded returns all records of the member after a number.
func (m *member) recorded(t fataler, after int64) (all []Record) {
	t.Helper()
	q := &query{}
	q.add(`SELECT first, data FROM outbox ORDER BY first`)
	batches, err := rows(context.Background(), m.conn, q, func(scan scanner) (b batch, err error) {
		err = scan(&b.first, &b.data)
		return b, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		found, err := b.records(after)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// takes takes records of another member.
func (m *member) takes(t fataler, from *member, records []Record) error {
	t.Helper()
	var all []taken
	for _, r := range records {
		e, err := r.parse()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, taken{r.ID, e})
	}
	return m.transact(func() error { return m.take(from.name, 0, all) })
}

// takesSome takes some of another member's records: those that it has next, late, or again.
func (m *member) takesSome(t *rapid.T, from *member) {
	t.Helper()
	some := from.recorded(t, 0)
	if from == m || len(some) == 0 {
		return
	}
	_, position, err := m.known(from.name)
	begin := slices.IndexFunc(some, func(r Record) bool { return r.ID > position })
	if begin < 0 {
		begin = len(some)
	}
	begin = rapid.IntRange(0, begin).Draw(t, "again from")
	end := rapid.IntRange(begin, len(some)).Draw(t, "up to")
	if err == nil {
		err = m.takes(t, from, some[begin:end])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// receives stores a report.
func (m *member) receives(t fataler, r Report) {
	t.Helper()
	packed, err := r.pack()
	if err == nil {
		err = m.transact(func() error {
			_, err := m.addReport(recordedReport{r, packed})
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// shown is what a member shows, without what has its own numbers or order.
func (m *member) shown(t fataler, since time.Time) map[string]string {
	t.Helper()
	r, err := OpenReader(m.path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx := context.Background()
	all := make(map[string]string)
	show := func(what string, rows []string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		slices.Sort(rows)
		all[what] = strings.Join(rows, "\n")
	}
	handshakes, err := r.Handshakes(ctx, Filter{Probes: true, Limit: maxLimit})
	show("handshakes", texts(handshakes, func(h *Handshake) {
		h.ID = 0
		h.Diagnoses = nil
	}), err)
	for _, h := range handshakes {
		all["diagnoses"] += fmt.Sprintln(h.Session, h.Diagnoses, h.Revised)
	}
	show("diagnoses", strings.Split(all["diagnoses"], "\n"), nil)
	for name, f := range map[string]Filter{
		"senders": {}, "senders since": {Since: since}, "senders at each host": {ByHost: true}, "senders at mx1": {Host: "mx1"},
		"senders at mx1 since": {Host: "mx1", Since: since},
	} {
		f.Limit = maxLimit
		found, err := r.Senders(ctx, f)
		show(name, texts(found, func(*Sender) {}), err)
		days, err := r.Days(ctx, f)
		show("days of "+name, texts(days, func(*Day) {}), err)
	}
	for name, in := range map[string]Span{"": {}, " at mx2": {Host: "mx2"}, " since": {From: since}} {
		periods, err := r.Periods(ctx, in, ShortPeriod)
		show("periods"+name, texts(periods, func(*Period) {}), err)
		events, err := r.Events(ctx, in, maxEvents)
		show("events"+name, texts(events, func(*Event) {}), err)
		in.To = noon.AddDate(1, 0, 0)
		failing, err := r.Failing(ctx, in, maxLimit)
		show("failing"+name, texts(failing, func(*FailingSender) {}), err)
	}
	refusals, err := r.Refusals(ctx, RefusalFilter{Limit: maxLimit})
	show("refusals", texts(refusals, func(*Refusal) {}), err)
	decisions, err := r.Decisions(ctx, Filter{Limit: maxLimit})
	show("decisions", texts(decisions, func(*Decision) {}), err)
	reports, err := r.Reports(ctx, ReportFilter{Limit: maxLimit})
	show("reports", texts(reports, func(r *Report) { r.ID = 0 }), err)
	alerts, err := r.Alerts(ctx, AlertFilter{Limit: maxLimit})
	show("alerts", texts(alerts, func(*Alert) {}), err)
	return all
}

// expectParts compares what the member shows of each host with what it shows of all.
func (m *member) expectParts(t fataler, fleet []*member) {
	t.Helper()
	r, err := OpenReader(m.path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sums := make(map[string]int64)
	for _, of := range fleet {
		for what, n := range m.partOf(t, r, of.name) {
			sums[what] += n
		}
	}
	if all := m.partOf(t, r, ""); !maps.Equal(all, sums) {
		t.Fatalf("all hosts have %v, each by itself %v", all, sums)
	}
	if here, named := m.partOf(t, r, Here), m.partOf(t, r, m.name); !maps.Equal(here, named) {
		t.Fatalf("this host has %v, by its name %v", here, named)
	}
}

// partOf counts what the member shows of a host; without a name, of all.
func (m *member) partOf(t fataler, r *Reader, host string) map[string]int64 {
	t.Helper()
	ctx := context.Background()
	all := make(map[string]int64)
	note := func(what string, n int, err error) {
		if err != nil {
			t.Fatal(err)
		}
		all[what] += int64(n)
	}
	handshakes, err := r.Handshakes(ctx, Filter{Host: host, Limit: maxLimit})
	note("handshakes", len(handshakes), err)
	for _, h := range handshakes {
		if host != "" && h.Host != cmp.Or(strings.Trim(host, Here), m.name) {
			t.Fatalf("of %s there is %+v", host, h)
		}
	}
	days, err := r.Days(ctx, Filter{Host: host, Limit: maxLimit})
	note("days", 0, err)
	for _, d := range days {
		all["full"] += d.Full
		all["failed"] += d.Failed
		all["returned"] += d.Returned
	}
	senders, err := r.Senders(ctx, Filter{Host: host, Limit: maxLimit})
	note("senders", 0, err)
	for _, s := range senders {
		all["full of senders"] += s.Full
		all["failed of senders"] += s.Failed
	}
	trends, err := r.Trends(ctx, senders, noon.AddDate(0, 0, 3))
	note("trends", 0, err)
	for _, trend := range trends {
		for _, day := range trend {
			all["full of trends"] += day.Full
		}
	}
	periods, err := r.Periods(ctx, Span{Host: host}, ShortPeriod)
	note("periods", 0, err)
	for _, p := range periods {
		all["full of periods"] += p.Full
		all["refused of periods"] += p.Refused
	}
	refusals, err := r.Refusals(ctx, RefusalFilter{Host: host, Limit: maxLimit})
	note("refusals", len(refusals), err)
	decisions, err := r.Decisions(ctx, Filter{Host: host, Limit: maxLimit})
	note("decisions", len(decisions), err)
	events, err := r.Events(ctx, Span{Host: host}, maxEvents)
	note("events", len(events), err)
	alerts, err := r.Alerts(ctx, AlertFilter{Host: host, Limit: maxLimit})
	note("alerts", len(alerts), err)
	reports, err := r.Reports(ctx, ReportFilter{Host: host, Limit: maxLimit})
	note("reports", len(reports), err)
	return all
}

// texts returns rows as texts.
func texts[T any](rows []T, change func(*T)) (all []string) {
	for _, row := range rows {
		change(&row)
		all = append(all, fmt.Sprintf("%+v", row))
	}
	return all
}

var sessionsDrawn atomic.Int64 // each has an id of its own

// anyRecorded draws something that a host records.
func anyRecorded(t *rapid.T) event {
	h := anyHandshake(t).(Handshake)
	h.Session = fmt.Sprint("s", sessionsDrawn.Add(1))
	h.Unused = rapid.IntRange(0, 3).Draw(t, "unused") == 0
	h.Delivered = rapid.Bool().Draw(t, "delivered")
	h.Transcript = nil
	if rapid.Bool().Draw(t, "with a transcript") {
		h.Transcript = failure("").Transcript
	}
	switch rapid.IntRange(0, 12).Draw(t, "kind") {
	case 0:
		return Refusal{Last: h.At, Network: h.Network, EHLO: h.EHLO, Command: "RCPT", From: "sender.example", To: "ours.example",
			Reply: rapid.SampledFrom([]string{"450 4.2.0 later", "550 5.1.1 no"}).Draw(t, "reply"), Count: 1, Session: h.Session}
	case 1:
		return Acceptance{At: h.At.Add(time.Minute), Network: h.Network, From: "sender.example", To: "ours.example"}
	case 2:
		return decision{At: h.At, Kind: fallback.FellBack, Network: h.Network, Fingerprint: h.Fingerprint, To: sessionticket.NoTicket, Why: "it failed"}
	case 3:
		return Event{At: h.At, Kind: CertificateChanged, Subject: "mx", Text: rapid.SampledFrom([]string{"one", "two"}).Draw(t, "certificate")}
	case 4:
		return Name{Network: h.Network, EHLO: h.EHLO, Name: "out.sender.example"}
	case 5:
		return alert{ID: rapid.Int64Range(1, 3).Draw(t, "alert"), Kind: "sender-stopped", Text: h.Session, Since: h.At, Seen: h.At}
	}
	return h
}

// Three hosts record what they see and take what the others recorded, in any order of hosts, late,
// in parts, and again. In the end the page of each shows the same.
func TestEachHostOfAFleetShowsTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		var fleet []*member
		for i := range 3 {
			path := filepath.Join(dir, fmt.Sprint(n, "-", i))
			if err := copyEmpty(path, len(migrations())); err != nil {
				t.Fatal(err)
			}
			m := newMember(t, path, fmt.Sprint("mx", i+1))
			defer m.close()
			fleet = append(fleet, m)
		}
		failed := make(map[*member][]string)
		for range rapid.IntRange(2, 8).Draw(t, "steps") {
			to := rapid.SampledFrom(fleet).Draw(t, "host")
			if rapid.Bool().Draw(t, "takes") {
				to.takesSome(t, rapid.SampledFrom(fleet).Draw(t, "from"))
				continue
			}
			events := rapid.SliceOfN(rapid.Custom(anyRecorded), 1, 15).Draw(t, "records")
			for _, e := range events {
				if h, ok := e.(Handshake); ok && h.Outcome == Failed {
					failed[to] = append(failed[to], h.Session)
				}
			}
			if len(failed[to]) > 0 && rapid.Bool().Draw(t, "revises") {
				events = append(events, Revision{Session: rapid.SampledFrom(failed[to]).Draw(t, "revised"), Why: "more is known", Diagnoses: []Diagnosis{{Case: "middlebox", Confidence: 0.8, Evidence: []string{}}}})
			}
			if err := to.write(events); err != nil {
				t.Fatal(err)
			}
			if rapid.IntRange(0, 3).Draw(t, "report") == 0 {
				r := signed(rapid.SampledFrom([]string{"1", "2"}).Draw(t, "id"))
				r.At = r.At.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "received")) * time.Minute)
				r.Verified = rapid.Bool().Draw(t, "verified")
				to.receives(t, r)
			}
		}
		for _, to := range fleet {
			for _, from := range fleet {
				if from != to {
					if err := to.takes(t, from, from.recorded(t, 0)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		since := someHour(t, "since")
		fleet[0].expectParts(t, fleet)
		want := fleet[0].shown(t, since)
		for _, m := range fleet[1:] {
			for what, got := range m.shown(t, since) {
				if got != want[what] {
					t.Fatalf("%s at %s:\n%s\nat mx1:\n%s", what, m.name, got, want[what])
				}
			}
		}
	})
}

// fleetOf opens ledgers of hosts mx1, mx2 and so on.
func fleetOf(t *testing.T, n int) (all []*Ledger) {
	t.Helper()
	for i := range n {
		all = append(all, opened(t, empty(t), Options{Host: fmt.Sprint("mx", i+1)}))
	}
	return all
}

// waiting returns the records of l that wait to be published, when there are so many.
func waiting(t *testing.T, l *Ledger, n int) (all []Record) {
	t.Helper()
	for len(all) < n {
		var err error
		if all, err = l.Own(t.Context(), 0, 1000); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// A sender fails at mx1 and delivers at mx2. Both hosts show both sessions, each with its host, and
// neither lists the sender as failing.
func TestSenderThatFailsAtOneHostAndDeliversAtAnother(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	fleet[0].AddHandshake(failure("A"))
	fleet[1].AddHandshake(with(success("B"), func(h *Handshake) { h.At, h.Delivered = noon.Add(time.Minute), true }))
	for i, l := range fleet {
		other := fleet[1-i]
		if err := l.Take(t.Context(), other.o.Host, 0, waiting(t, other, 1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range fleet {
		waiting(t, l, 1) // its own is written
		r := reader(t, l.path)
		found, err := r.Handshakes(t.Context(), Filter{})
		if err != nil || len(found) != 2 || found[0].Session+found[0].Host+found[1].Session+found[1].Host != "Bmx2Amx1" {
			t.Errorf("%s shows %+v, %v", l.o.Host, found, err)
		}
		if h, err := r.Handshake(t.Context(), "A"); err != nil || string(h.Transcript) != string(failure("A").Transcript) || h.Case() != "early-ticket" {
			t.Errorf("%s shows A as %+v, %v", l.o.Host, h, err)
		}
		if f := failingSenders(t, r); len(f) > 0 {
			t.Errorf("%s says that it fails: %+v", l.o.Host, f)
		}
		senders, err := r.Senders(t.Context(), Filter{})
		if err != nil || len(senders) != 1 || senders[0].Counts != (Counts{Full: 1, Failed: 1}) || senders[0].Failing != 0 || senders[0].Host != "" {
			t.Errorf("%s has the senders %+v, %v", l.o.Host, senders, err)
		}
		each, err := r.Senders(t.Context(), Filter{ByHost: true, FailingFirst: true})
		if err != nil || len(each) != 2 || each[0].Host+each[1].Host != "mx1mx2" || each[0].Failing != 1 || each[0].Case != "early-ticket" || each[1].Full != 1 {
			t.Errorf("%s has for each host %+v, %v", l.o.Host, each, err)
		}
		hosts, err := r.Hosts(t.Context())
		if err != nil || len(hosts) != 2 || hosts[0] != l.o.Host {
			t.Errorf("%s has rows of %v, %v", l.o.Host, hosts, err)
		}
	}
}

// What counts is whether a sender works at any host after it failed, as the clocks of the hosts say.
func TestFailingAtSeveralHosts(t *testing.T) {
	t.Parallel()
	type tried struct {
		host   string
		minute int
		works  bool
	}
	for name, test := range map[string]struct {
		tries []tried
		want  string // failures since the sender worked at any host, and the minute of the first; then the host of the last, the same, and when it worked
	}{
		"it works elsewhere afterwards":     {[]tried{{"mx1", 1, false}, {"mx2", 2, true}}, "0 []"},
		"it worked elsewhere before":        {[]tried{{"mx2", 1, true}, {"mx1", 2, false}}, "1 2 [mx1 1 2 1]"},
		"which is known late":               {[]tried{{"mx1", 2, false}, {"mx2", 1, true}}, "1 2 [mx1 1 2 1]"},
		"it works elsewhere in between":     {[]tried{{"mx1", 1, false}, {"mx1", 2, false}, {"mx2", 3, true}, {"mx1", 4, false}}, "1 4 [mx1 1 4 3]"},
		"it fails at two":                   {[]tried{{"mx1", 1, false}, {"mx2", 2, false}, {"mx2", 3, false}}, "3 1 [mx2 3 1 -]"},
		"it fails at two in turns":          {[]tried{{"mx1", 1, false}, {"mx2", 2, false}, {"mx1", 3, false}}, "3 1 [mx1 3 1 -]"},
		"it fails at two and works at one":  {[]tried{{"mx1", 1, false}, {"mx2", 2, false}, {"mx2", 3, true}, {"mx1", 4, false}}, "1 4 [mx1 1 4 3]"},
		"the clock here is behind what was": {[]tried{{"mx1", 5, true}, {"mx1", 1, false}}, "1 1 [mx1 1 1 5]"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKept(t, retention{})
			for i, try := range test.tries {
				h := success(fmt.Sprint(i))
				if !try.works {
					h = failure(fmt.Sprint(i))
				}
				k.writeAt(strings.TrimPrefix(try.host, "mx1"), []event{at(try.minute, h)})
			}
			if err := k.register("mx1"); err != nil {
				t.Fatal(err)
			}
			minute := func(at time.Time) string {
				if at.IsZero() {
					return "-"
				}
				return fmt.Sprint(int(at.Sub(noon).Minutes()))
			}
			r := reader(t, k.path)
			senders, err := r.Senders(t.Context(), Filter{})
			if err != nil || len(senders) != 1 {
				t.Fatalf("senders %+v, %v", senders, err)
			}
			got := fmt.Sprint(senders[0].Failing, " ", strings.TrimPrefix(minute(senders[0].FailingSince), "-"))
			var each []string
			for _, f := range failingSenders(t, r) {
				each = append(each, fmt.Sprint(f.Host, " ", f.Failed, " ", minute(f.Since), " ", minute(f.Worked)))
			}
			slices.Sort(each)
			if got = strings.TrimSpace(got) + " [" + strings.Join(each, ", ") + "]"; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// A host is killed in the middle of taking: what it had of that batch is gone, and counts once when
// the batch comes again.
func TestNothingCountsTwiceAfterACrash(t *testing.T) {
	t.Parallel()
	mx1, mx2 := newMember(t, empty(t), "mx1"), newMember(t, empty(t), "mx2")
	defer mx1.close()
	defer mx2.close()
	var events []event
	for i := range 10 {
		events = append(events, failure(fmt.Sprint(i)))
	}
	if err := mx1.write(events); err != nil {
		t.Fatal(err)
	}
	crash := []string{
		`CREATE TRIGGER crash BEFORE INSERT ON handshakes WHEN new.session = '7' BEGIN SELECT raise(ABORT, 'crash'); END`,
		`DROP TRIGGER crash`,
	}
	if err := mx2.exec(crash[0]); err != nil {
		t.Fatal(err)
	}
	all := mx1.recorded(t, 0)
	if err := mx2.takes(t, mx1, all[:5]); err != nil {
		t.Fatal(err)
	}
	if err := mx2.takes(t, mx1, all); err == nil {
		t.Fatal("there was no crash")
	}
	if n, err := mx2.number(`SELECT failed FROM senders`); n != 5 || err != nil {
		t.Errorf("after the crash %d count, %v; want the 5 before it", n, err)
	}
	if err := mx2.exec(crash[1]); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := mx2.takes(t, mx1, all); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{`SELECT failed FROM senders`, `SELECT count(*) FROM handshakes`, `SELECT sum(failed) FROM days WHERE sender < 0`,
		`SELECT sum(count) FROM periods WHERE minutes = 30`, `SELECT failed FROM networks`} {
		if n, err := mx2.number(query); n != 10 || err != nil {
			t.Errorf("%s: %d, %v; want 10", query, n, err)
		}
	}
}

// What is not published survives a restart; what is published is gone, and its numbers are never
// used again, even in a new file.
func TestRecordsWaitUntilTheyArePublished(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := opened(t, path, Options{Host: "mx1"})
	l.AddHandshake(failure("A"))
	l.AddHandshake(success("B"))
	before := waiting(t, l, 2)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, Options{Host: "mx1"})
	again := waiting(t, l, 2)
	if fmt.Sprint(again) != fmt.Sprint(before) {
		t.Fatalf("after a restart there are %v, want %v", again, before)
	}
	if rest, err := l.Own(t.Context(), again[0].ID, 1000); err != nil || len(rest) != 1 || rest[0].ID != again[1].ID {
		t.Errorf("after the first: %v, %v", rest, err)
	}
	if one, err := l.Own(t.Context(), 0, 1); err != nil || len(one) != 1 || one[0].ID != again[0].ID {
		t.Errorf("one at a time: %v, %v", one, err)
	}
	if err := l.Published(t.Context(), again[1].ID); err != nil {
		t.Fatal(err)
	}
	if rest, err := l.Own(t.Context(), 0, 1000); err != nil || len(rest) > 0 {
		t.Errorf("after they were published there are %v, %v", rest, err)
	}
	l.AddHandshake(success("C"))
	next := waiting(t, l, 1)
	fresh := opened(t, empty(t), Options{Host: "mx1"})
	fresh.AddHandshake(success("D"))
	first := waiting(t, fresh, 1)
	if next[0].ID <= again[1].ID || first[0].ID <= next[0].ID {
		t.Errorf("the numbers are %d, %d, then %d and in a new file %d; want them to rise", again[0].ID, again[1].ID, next[0].ID, first[0].ID)
	}
}

// Without a fleet nothing is kept for others, and what was is dropped.
func TestAloneNothingIsKeptForOthers(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := opened(t, path, Options{Host: "mx1"})
	l.AddHandshake(failure("A"))
	waiting(t, l, 1)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, Options{})
	l.AddHandshake(failure("B"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "B")
	l = opened(t, path, Options{Host: "mx1"})
	if rest, err := l.Own(t.Context(), 0, 1000); err != nil || len(rest) > 0 {
		t.Errorf("there are %v, %v", rest, err)
	}
}

// A report counts once, wherever it came and however often. One that another process added is
// shared too.
func TestReportAtTwoHostsCountsOnce(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 2)
	if _, err := fleet[0].AddReport(t.Context(), signed("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := AddReport(t.Context(), fleet[1].path, signed("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := AddReport(t.Context(), fleet[1].path, signed("2")); err != nil {
		t.Fatal(err)
	}
	for i, l := range fleet {
		other := fleet[1-i]
		records := waiting(t, other, 1)
		for range 2 {
			if err := l.Take(t.Context(), other.o.Host, 0, records); err != nil {
				t.Fatal(err)
			}
		}
		found, err := reader(t, l.path).Reports(t.Context(), ReportFilter{})
		if err != nil || len(found) != 2 {
			t.Errorf("%s has %d reports, %v; want 2", l.o.Host, len(found), err)
		}
		for _, f := range found {
			if whole, err := reader(t, l.path).Report(t.Context(), f.ID); err != nil || string(whole.Content) != string(signed(f.ReportID).Content) {
				t.Errorf("%s has report %s as %q, %v", l.o.Host, f.ReportID, whole.Content, err)
			}
		}
		if rest, err := l.Own(t.Context(), 0, 1000); err != nil || slices.ContainsFunc(rest, func(r Record) bool { return strings.Contains(string(r.Data), other.o.Host) }) || len(rest) > 2 {
			t.Errorf("%s passes on what it took: %v, %v", l.o.Host, rest, err)
		}
	}
}

// Of a newer version there can be records that this one does not know. They are left out and
// logged once, and what comes after them is taken.
func TestRecordsOfANewerVersionAreLeftOut(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	l := opened(t, empty(t), Options{Host: "mx1", Log: log.Logger()})
	good, err := json.Marshal(recordOf(failure("A")))
	if err != nil {
		t.Fatal(err)
	}
	records := []Record{
		{1, "weather", []byte(`{}`)},
		{2, handshakeRecord, []byte(`{"outcome":"better"}`)},
		{3, handshakeRecord, []byte(`{"outcome":9,"network":"192.0.2.0/24"}`)},
		{4, handshakeRecord, good},
	}
	if err := l.Take(t.Context(), "mx2", 0, records); err != nil {
		t.Fatal(err)
	}
	if got := sessions(t, reader(t, l.path), Filter{}); got != "A" {
		t.Errorf("the sessions are %s", got)
	}
	if taken, err := l.Taken(t.Context()); err != nil || len(taken) != 1 || taken["mx2"] != 4 {
		t.Errorf("taken up to %v, %v", taken, err)
	}
	if n := log.Count("ignoring records of another host"); n != 1 {
		t.Errorf("%d lines in the log, want 1", n)
	}
}

// Records that do not fit into the tables, or are of more hosts than are kept, are left out and logged
// once. They hold up neither the others nor what this host records.
func TestRecordsThatCannotBeStoredAreLeftOut(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	l := opened(t, empty(t), Options{Host: "mx1", Log: log.Logger()})
	good := func(session string) []byte {
		data, err := json.Marshal(recordOf(failure(session)))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	records := []Record{{1, handshakeRecord, good("A")}, {2, reportRecord, []byte(`{}`)}, {3, handshakeRecord, good("B")}}
	if err := l.Take(t.Context(), "mx2", 0, records); err != nil {
		t.Error(err)
	}
	for i := range maxHosts {
		if err := l.Take(t.Context(), fmt.Sprint("renamed", i), 0, []Record{{1, nameRecord, []byte(`{}`)}}); err != nil {
			t.Fatal(err)
		}
	}
	l.AddHandshake(failure("own"))
	if err := l.Take(t.Context(), "mx2", 0, []Record{{4, handshakeRecord, good("C")}}); err != nil {
		t.Error(err)
	}
	r := reader(t, l.path)
	until(t, "stored", func() bool { return sessions(t, r, Filter{Host: Here}) == "own" })
	if got := sessions(t, r, Filter{Host: "mx2"}); len(strings.Fields(got)) != 3 {
		t.Errorf("the sessions of mx2 are %s, want A, B and C", got)
	}
	if taken, err := l.Taken(t.Context()); err != nil || len(taken) != maxHosts-1 || taken["mx2"] != 4 {
		t.Errorf("%d hosts were taken, mx2 up to %d, %v", len(taken), taken["mx2"], err)
	}
	if n := log.Count("ignoring records of another host"); n != 1 {
		t.Errorf("%d lines in the log, want 1", n)
	}
	if n := log.Count("level=ERROR"); n > 0 {
		t.Errorf("the log has errors:\n%s", log.String())
	}
}

// A file that was deleted while the server runs is replaced by an empty one. What the host takes next
// follows on what the old file had: if the new one took it, what is before could not be taken any more.
func TestReplacedLedgerTakesFromTheBeginning(t *testing.T) {
	t.Parallel()
	other, l := fleetOf(t, 2)[0], opened(t, empty(t), Options{Host: "mx3"})
	for _, session := range []string{"A", "B"} {
		other.AddHandshake(failure(session))
	}
	all := waiting(t, other, 2)
	if err := l.Take(t.Context(), "mx1", 0, all[:1]); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(l.path); err != nil {
		t.Fatal(err)
	}
	if err := l.Take(t.Context(), "mx1", all[0].ID, all[1:]); !errors.Is(err, ErrReplaced) {
		t.Errorf("taking what follows: %v, want %v", err, ErrReplaced)
	}
	l.AddHandshake(failure("own"))
	if err := l.Take(t.Context(), "mx1", 0, all); err != nil {
		t.Fatal(err)
	}
	r := reader(t, l.path)
	until(t, "stored", func() bool { return sessions(t, r, Filter{Host: Here}) == "own" })
	if got := strings.Fields(sessions(t, r, Filter{Host: "mx1"})); len(got) != 2 {
		t.Errorf("the sessions of mx1 are %s, want A and B", got)
	}
}

// A host gets another name, as one does that had the name of another host. What it recorded under the
// former name is its own, and not another host's; what a host records that has the name later is.
func TestRenamedHostTakesNothingOfItsOwn(t *testing.T) {
	t.Parallel()
	path := empty(t)
	recent := func(h Handshake) Handshake { return with(h, func(h *Handshake) { h.At = time.Now() }) } // a restart forgets what is old
	l := opened(t, path, Options{Host: "mx1"})
	l.AddHandshake(recent(failure("A")))
	own := waiting(t, l, 1)
	if former, err := l.Former(t.Context()); err != nil || former != "" {
		t.Errorf("before, its former name is %q, %v", former, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, Options{Host: "mx2"})
	if former, err := l.Former(t.Context()); err != nil || former != "mx1" {
		t.Errorf("its former name is %q, %v", former, err)
	}
	positions, err := l.Taken(t.Context())
	if err != nil || positions["mx1"] != own[0].ID {
		t.Errorf("taken up to %v, %v, want mx1 up to %d", positions, err, own[0].ID)
	}
	if err := l.Take(t.Context(), "mx1", positions["mx1"], own); err != nil {
		t.Error(err)
	}
	r := reader(t, path)
	if got := sessions(t, r, Filter{}); got != "A" {
		t.Errorf("there are the sessions %s, want A once", got)
	}

	next := opened(t, empty(t), Options{Host: "mx1"})
	next.AddHandshake(recent(failure("B")))
	if err := l.Take(t.Context(), "mx1", positions["mx1"], waiting(t, next, 1)); err != nil {
		t.Error(err)
	}
	for host, want := range map[string]string{"mx1": "B", "mx2": "A"} {
		if got := sessions(t, r, Filter{Host: host}); got != want {
			t.Errorf("the sessions of %s are %s, want %s", host, got, want)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = opened(t, path, Options{Host: "mx1"}) // again, though another host had that name meanwhile
	l.AddHandshake(recent(failure("C")))
	holds(t, path, "C")
	if hosts, err := r.Hosts(t.Context()); err != nil || !slices.Equal(hosts, []string{"mx1"}) {
		t.Errorf("there are the hosts %q, %v, want the name once", hosts, err)
	}
}

// What a host sends in the name of none is not stored.
func TestRecordsOfNoHostAreNotTaken(t *testing.T) {
	t.Parallel()
	l := fleetOf(t, 1)[0]
	record := []Record{{1, nameRecord, []byte(`{}`)}}
	for _, name := range []string{"", strings.Repeat("a", maxHostName+1)} {
		if err := l.Take(t.Context(), name, 0, record); err == nil {
			t.Errorf("%q is taken for a host", name)
		}
	}
	if taken, err := l.Taken(t.Context()); err != nil || len(taken) > 0 {
		t.Errorf("taken up to %v, %v", taken, err)
	}
}

// A failed handshake at mx1, then mail in plaintext at mx2, which has heard of it: it is a
// consequence at both, and at mx3, which hears of the mail first.
func TestPlaintextAfterAFailureAtAnotherHost(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(t, 3)
	fleet[0].AddHandshake(failure("A"))
	if err := fleet[1].Take(t.Context(), "mx1", 0, waiting(t, fleet[0], 1)); err != nil {
		t.Fatal(err)
	}
	fleet[1].AddHandshake(with(success("B"), func(h *Handshake) {
		h.At, h.Outcome, h.Fingerprint, h.Version, h.Suite, h.Group = noon.Add(time.Minute), Plaintext, "", 0, 0, 0
	}))
	for _, l := range []*Ledger{fleet[0], fleet[2]} {
		if err := l.Take(t.Context(), "mx2", 0, waiting(t, fleet[1], 1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := fleet[2].Take(t.Context(), "mx1", 0, waiting(t, fleet[0], 1)); err != nil { // the other way round
		t.Fatal(err)
	}
	for _, l := range fleet {
		found, err := reader(t, l.path).Handshakes(t.Context(), Filter{Returned: true})
		if err != nil || len(found) != 1 || found[0].After != "A" || found[0].Address != netip.MustParseAddr("192.0.2.7") {
			t.Errorf("at %s: %+v, %v", l.o.Host, found, err)
		}
	}
}

// What this host took over from another one the rest have from that one.
func TestAdoptedDecisionsAreNotPassedOn(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := opened(t, path, Options{Host: "mx1"})
	decided := fallback.Decision{At: time.Now(), Kind: fallback.FellBack, Network: netip.MustParsePrefix("192.0.2.0/24"), Why: "host mx2: it failed"}
	l.AddAdopted([]fallback.Decision{decided})
	l.AddHandshake(failure("A"))
	for _, r := range waiting(t, l, 1) {
		if r.Kind == decisionRecord {
			t.Errorf("%s is for the other hosts", r.Data)
		}
	}
	all, err := reader(t, path).Decisions(t.Context(), Filter{})
	if err != nil || len(all) != 1 || all[0].Host != "mx1" || all[0].Why != decided.Why {
		t.Errorf("there are the decisions %+v, %v", all, err)
	}
}

func TestMarkIsKept(t *testing.T) {
	t.Parallel()
	path := empty(t)
	l := opened(t, path, Options{Host: "mx1"})
	if mark, err := l.Mark(t.Context()); err != nil || mark != nil {
		t.Errorf("the first mark is %q, %v", mark, err)
	}
	l.PutMark([]byte("one"))
	l.PutMark([]byte("two"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if mark, err := opened(t, path, Options{Host: "mx1"}).Mark(t.Context()); err != nil || string(mark) != "two" {
		t.Errorf("after a restart the mark is %q, %v, want two", mark, err)
	}
}

// A host that cannot publish for long gives up the oldest of what waits, and says so once until it
// can publish again.
func TestTheOldestAreNotPublishedIfTooManyWait(t *testing.T) {
	t.Parallel()
	var log testlog.Log
	l := opened(t, empty(t), Options{Host: "mx1", Log: log.Logger()})
	const room = 2 << 10
	fill := func() (last int64) {
		t.Helper()
		for i := range 3 * maxBatch {
			l.AddHandshake(success(fmt.Sprintf("%d-%d", time.Now().UnixNano(), i)))
		}
		all := waiting(t, l, 3*maxBatch)
		err := l.wait(t.Context(), "making room", func(w *writer) error {
			small := retention{maxSize: room * outboxPart}
			w.makeRoom(small.byOutbox)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		last = all[len(all)-1].ID
		rest, err := l.Own(t.Context(), 0, 1000)
		if err != nil || len(rest) == len(all) || len(rest) > 0 && rest[len(rest)-1].ID != last {
			t.Errorf("of %d records there are %d, %v, want the last ones", len(all), len(rest), err)
		}
		return last
	}
	last := fill()
	lost := l.Stats().Unpublished
	if n := log.Count("too many events wait for other hosts"); n != 1 || lost == 0 {
		t.Errorf("the log says it %d times, and %d are counted; want once, and some", n, lost)
	}
	if err := l.Published(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	fill()
	if n := log.Count("too many events wait for other hosts"); n != 2 || l.Stats().Unpublished <= lost {
		t.Errorf("after it could publish, the log says it %d times in all, and %d are counted; want twice, and more", n, l.Stats().Unpublished)
	}
}
