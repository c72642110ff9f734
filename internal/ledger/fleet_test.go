package ledger

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"postern/internal/fallback"
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

var sessionsDrawn int // in this check: each has an id of its own

// anyRecorded draws something that a host records.
func anyRecorded(t *rapid.T) event {
	h := anyHandshake(t).(Handshake)
	sessionsDrawn++
	h.Session = fmt.Sprint("s", sessionsDrawn)
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
		sessionsDrawn = 0
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
