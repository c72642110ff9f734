package ledger

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"
)

// A Period has what happened from Start on, for as long as [Reader.Periods] was asked for.
type Period struct {
	Start                    time.Time
	Full, Resumed, Plaintext int64            // sessions
	Failed                   map[string]int64 // by the most certain case; see [Unknown]
	Deferred, Refused        int64            // commands: with a 4xx reply, with a 5xx reply
}

// ShortPeriod is the shortest length of a [Period].
const ShortPeriod = 30 * time.Minute

// The lengths of the stored periods, in minutes.
const (
	shortPeriod = int64(ShortPeriod / time.Minute)
	dayPeriod   = 24 * 60
)

// The kinds of what is counted, besides outcomes. Their numbers are stored.
const (
	deferred Outcome = 5
	refused  Outcome = 6
)

// Periods returns what happened in the span, in periods of a length, the earliest first; those in
// which nothing happened are left out. A length is a multiple of [ShortPeriod] that divides a day,
// or of a day. Periods begin at multiples of it since 1970 in UTC, and the first and the last one
// are whole.
func (r *Reader) Periods(ctx context.Context, in Span, length time.Duration) ([]Period, error) {
	minutes, many := shortPeriod, int64(length/ShortPeriod)
	if length%(24*time.Hour) == 0 {
		minutes, many = dayPeriod, int64(length/(24*time.Hour))
	}
	millis := length.Milliseconds()
	first, last := unixMilli(in.From)/millis, (untilMilli(in.To)-1)/millis
	parts, err := readAll(ctx, r, "reading what happened", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT number / ?1 AS period, kind, case_id, sum(count) FROM periods
			WHERE minutes = ?2 AND number >= ?3 AND number < ?4 AND count > 0`, many, minutes, first*many, (last+1)*many)
		q.atHost("host", in.Host)
		q.add(`GROUP BY 1, 2, 3 ORDER BY 1`)
		return nil
	}, func(scan scanner) (p Period, err error) {
		var number, n int64
		var kind Outcome
		var found string
		err = scan(&number, &kind, &found, &n)
		p.Start = time.UnixMilli(number * millis).UTC()
		switch kind {
		case Full:
			p.Full = n
		case Resumed:
			p.Resumed = n
		case Plaintext:
			p.Plaintext = n
		case Failed:
			p.Failed = map[string]int64{found: n}
		case deferred:
			p.Deferred = n
		case refused:
			p.Refused = n
		}
		return p, err
	})
	var all []Period
	for _, part := range parts {
		if len(all) == 0 || !all[len(all)-1].Start.Equal(part.Start) {
			all = append(all, part)
			continue
		}
		all[len(all)-1].Add(part)
	}
	return all, err
}

// Add adds what happened in o to p.
func (p *Period) Add(o Period) {
	p.Full += o.Full
	p.Resumed += o.Resumed
	p.Plaintext += o.Plaintext
	p.Failed = sum(p.Failed, o.Failed)
	p.Deferred += o.Deferred
	p.Refused += o.Refused
}

// A periodTally sums what a batch adds to the periods.
type periodTally map[periodKey]*periodCount

type periodKey struct {
	minutes, number int64
	kind            Outcome
	found           string // the case
}

type periodCount struct {
	n    int64
	last int64 // id of the newest handshake
}

// add adds n to what was counted at a time, in milliseconds since 1970.
func (t periodTally) add(at int64, kind Outcome, found string, n, last int64) {
	for _, minutes := range []int64{shortPeriod, dayPeriod} {
		key := periodKey{minutes, at / (minutes * 60_000), kind, found}
		if t[key] == nil {
			t[key] = new(periodCount)
		}
		t[key].n += n
		t[key].last = last
	}
}

// write adds the sums to those stored. A negative one is of a handshake that has another
// diagnosis now, and changes nothing if its period has been deleted.
func (t periodTally) write(s *store) error {
	for key, c := range t {
		var err error
		if c.n > 0 {
			err = s.exec(`INSERT INTO periods (minutes, number, kind, case_id, count, last, host) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT DO UPDATE SET count = count + excluded.count, last = excluded.last`,
				key.minutes, key.number, key.kind, key.found, c.n, c.last, s.host)
		} else if c.n < 0 {
			err = s.exec(`UPDATE periods SET count = max(0, count + ?) WHERE minutes = ? AND number = ? AND kind = ? AND case_id = ? AND host = ?`,
				c.n, key.minutes, key.number, key.kind, key.found, s.host)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leading returns the most certain case; of several, the first by its id.
func leading(diagnoses []Diagnosis) string {
	if len(diagnoses) == 0 {
		return Unknown
	}
	return slices.MinFunc(diagnoses, func(a, b Diagnosis) int {
		return cmp.Or(cmp.Compare(b.Confidence, a.Confidence), strings.Compare(a.Case, b.Case))
	}).Case
}

// leadingOf is leading in SQL, of the stored diagnoses of the handshake with an id; NULL if there
// are none.
func leadingOf(id string) string {
	return `(SELECT case_id FROM diagnoses WHERE handshake = ` + id + ` ORDER BY confidence DESC, case_id LIMIT 1)`
}
