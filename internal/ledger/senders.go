package ledger

import (
	"context"
	"database/sql"
	"net/netip"
	"time"

	"postern/handshake"
)

// A Sender is a sender with its counts.
type Sender struct {
	// Host is set where the sender is counted for a host by itself; see [Filter].
	Host string `json:"host,omitempty"`

	Network     netip.Prefix `json:"network"`
	EHLO        string       `json:"ehlo,omitempty"`
	Name        string       `json:"name,omitempty"` // by forward-confirmed reverse DNS
	Fingerprint string       `json:"ja4,omitempty"`  // JA4; empty in plaintext
	First       time.Time    `json:"first"`          // start of the first stored session
	Last        time.Time    `json:"last"`
	Counts

	// Failing are the handshakes that failed since the last session that worked, the first
	// of them at FailingSince; Case is the diagnosis of the last one.
	Failing      int64     `json:"failing"`
	FailingSince time.Time `json:"failing_since,omitzero"`
	Worked       time.Time `json:"worked,omitzero"` // the last session that worked
	Case         string    `json:"case,omitempty"`
}

// Counts are numbers of sessions by outcome.
type Counts struct {
	Full      int64 `json:"full"`
	Resumed   int64 `json:"resumed"`
	Failed    int64 `json:"failed"`
	Plaintext int64 `json:"plaintext"`
	Returned  int64 `json:"returned"` // of Plaintext, those after a failed handshake
}

// Add adds n to c.
func (c *Counts) Add(n Counts) {
	c.Full += n.Full
	c.Resumed += n.Resumed
	c.Failed += n.Failed
	c.Plaintext += n.Plaintext
	c.Returned += n.Returned
}

// A Day has the counts of a day for one version, cipher suite and group.
type Day struct {
	Day     time.Time         // its start in UTC
	Version handshake.Version // 0 if unknown, as Suite and Group
	Suite   handshake.Suite
	Group   handshake.Group
	Counts
}

const sums = `sum(full) AS full, sum(resumed) AS resumed, sum(failed) AS failed,
	sum(plaintext) AS plaintext, sum(returned) AS returned`

func (c *Counts) columns() []any {
	return []any{&c.Full, &c.Resumed, &c.Failed, &c.Plaintext, &c.Returned}
}

// Senders returns the senders that match f, those with the most sessions first. It ignores
// Case and After.
func (r *Reader) Senders(ctx context.Context, f Filter) ([]Sender, error) {
	return readAll(ctx, r, "reading senders", func(ctx context.Context, db *sql.DB, q *query) error {
		together := false
		if f.Host == "" && !f.ByHost {
			var err error
			if together, err = others(ctx, db); err != nil {
				return err
			}
		}
		if err := f.counted(ctx, db, q, together); err != nil {
			return err
		}
		switch {
		case f.Returned:
			q.add(`AND c.returned > 0`)
		case f.Failed:
			q.add(`AND c.failed > 0`)
		}
		q.add(`ORDER BY`)
		if f.FailingFirst {
			q.add(`failing > 0 AND worked > 0 DESC, failing DESC,`)
		}
		q.add(`c.full + c.resumed + c.failed + c.plaintext DESC, seen DESC LIMIT ?)`, f.limit())
		last := lastFailedOf(`= chosen.id`)
		if together {
			last = lastFailedOf(`IN (SELECT id FROM senders AS s WHERE ` + sameSender("chosen") + `)`)
		}
		q.add(`SELECT *, CASE WHEN failing > 0 THEN ` + leadingOf(last) + ` END FROM chosen`)
		return nil
	}, func(scan scanner) (s Sender, err error) {
		var id int64
		var found sql.NullString
		columns := []any{&id, &s.Host, prefixInto(&s.Network), &s.EHLO, &s.Name, &s.Fingerprint, timeInto(&s.First), timeInto(&s.Last),
			&s.Failing, timeOrNullInto(&s.FailingSince), timeOrNullInto(&s.Worked)}
		err = scan(append(append(columns, s.columns()...), &found)...)
		s.Case = found.String
		return s, err
	})
}

// counted appends a query for f's senders and their counts c, at each host or at all of them
// together, without the order and the end of the table that it is in.
func (f Filter) counted(ctx context.Context, db *sql.DB, q *query, together bool) error {
	all, err := f.hasAllDays(ctx, db)
	if err != nil {
		return err
	}
	host := hostOf("host")
	if f.Host == "" && !f.ByHost {
		host = `''`
	}
	columns := `chosen AS MATERIALIZED (SELECT id, ` + host + `, network, ehlo, name, fingerprint, first, seen,
		failing, nullif(failing_since, 0), nullif(worked, 0), c.full, c.resumed, c.failed, c.plaintext, c.returned`
	with, from := `WITH `, `senders AS c`
	if !all {
		f.inDays(q)
		with, from = `, `, `counted AS c JOIN senders USING (id)`
	}
	switch {
	case together && all:
		from = atAllHosts(`senders AS s`, `s`) + ` AS c`
	case together:
		from = atAllHosts(`senders AS s JOIN counted AS d USING (id)`, `d`) + ` AS c`
	}
	q.add(with + columns + ` FROM ` + from + ` WHERE c.full + c.resumed + c.failed + c.plaintext > 0`) // else a probe
	f.bySender(q)
	q.atHost("host", f.Host)
	return nil
}

// sameSender is, in SQL, the condition that a row s of senders is of the same sender as another row.
func sameSender(as string) string {
	return `s.network = ` + as + `.network AND s.ehlo = ` + as + `.ehlo AND s.fingerprint = ` + as + `.fingerprint`
}

// atAllHosts is, in SQL, a table with the rows s of senders at all hosts in one, and their counts.
func atAllHosts(rows, counts string) string {
	return `(SELECT max(s.id) AS id, 0 AS host, s.network, s.ehlo, max(s.name) AS name, s.fingerprint, min(s.first) AS first, max(s.seen) AS seen,
		coalesce(sum(` + failingOf("s", "count(*)", "s.failing") + `), 0) AS failing, min(` + failingOf("s", "min(at)", "s.failing_since") + `) AS failing_since, max(s.worked) AS worked,
		sum(` + counts + `.full) AS full, sum(` + counts + `.resumed) AS resumed, sum(` + counts + `.failed) AS failed,
		sum(` + counts + `.plaintext) AS plaintext, sum(` + counts + `.returned) AS returned
		FROM ` + rows + ` GROUP BY s.network, s.ehlo, s.fingerprint)`
}

// hasAllDays reports whether the span has all days that have counts, as the last 90 days do by
// default: then the counts of a sender are those in its row.
func (f Filter) hasAllDays(ctx context.Context, db *sql.DB) (all bool, err error) {
	first, last := f.days()
	err = db.QueryRowContext(ctx, `SELECT coalesce((SELECT min(day) FROM days) >= ? AND (SELECT max(day) FROM days) <= ?, TRUE)`, first, last).Scan(&all)
	return all, err
}

// inDays appends a table with the counts of each sender: by weeks, of which there are fewer than
// days, and by days before the first whole week and after the last one.
func (f Filter) inDays(q *query) {
	const counts = `full, resumed, failed, plaintext, returned`
	first, last := f.days()
	end := (last + 1) / 7 // of the whole weeks
	begin := min((first+6)/7, end)
	q.add(`WITH counted AS (SELECT sender AS id,`+sums+` FROM (
			SELECT sender, `+counts+` FROM days WHERE day >= ? AND day < ? AND sender > 0
			UNION ALL SELECT sender, `+counts+` FROM weeks WHERE week >= ? AND week < ?
			UNION ALL SELECT sender, `+counts+` FROM days WHERE day >= ? AND day <= ? AND sender > 0)
		GROUP BY sender)`, first, begin*7, begin, end, max(first, end*7), last)
}

// Days returns the counts of all senders that match f together, the newest day first. It uses
// Since, Until, Sender, Host and Limit.
func (r *Reader) Days(ctx context.Context, f Filter) ([]Day, error) {
	return readAll(ctx, r, "reading days", func(ctx context.Context, db *sql.DB, q *query) error {
		q.add(`SELECT day, version, suite, "group", ` + sums)
		var senders []byte
		var err error
		few := true
		if f.Sender == "" { // their sums
			senders, err = f.allSenders(ctx, db)
		} else {
			senders, few, err = f.senders(ctx, db)
		}
		if err != nil {
			return err
		}
		f.ofDays(q, senders, few)
		q.add(`GROUP BY day, version, suite, "group" ORDER BY day DESC LIMIT ?`, f.limit())
		return nil
	}, func(scan scanner) (d Day, err error) {
		var day int64
		err = scan(append([]any{&day, &d.Version, &d.Suite, &d.Group}, d.columns()...)...)
		d.Day = time.UnixMilli(day * millisOfDay).UTC()
		return d, err
	})
}

// allSenders returns the ids in days of the sums of all senders, at each host, as a JSON list.
func (f Filter) allSenders(ctx context.Context, db *sql.DB) (list []byte, err error) {
	q := &query{}
	q.add(`SELECT json_group_array(-id) FROM (SELECT id FROM hosts UNION SELECT ?) WHERE TRUE`, here)
	q.atHost("id", f.Host)
	err = db.QueryRowContext(ctx, q.text.String(), q.args...).Scan(&list)
	return list, err
}

// ofDays appends the rows of days for the senders.
func (f Filter) ofDays(q *query, senders []byte, few bool) {
	first, last := f.days()
	if few { // look up each of them for each day
		q.add(`FROM (WITH RECURSIVE span (day) AS (SELECT min(day) FROM days WHERE day >= ?
				UNION ALL SELECT (SELECT min(day) FROM days WHERE day > span.day) FROM span WHERE span.day < ?)
			SELECT day FROM span) CROSS JOIN days USING (day) WHERE day <= ?`, first, last, last)
	} else {
		q.add(`FROM days WHERE day BETWEEN ? AND ?`, first, last)
	}
	q.add(`AND sender IN (SELECT value FROM json_each(?))`, senders)
}

// A tally sums what a batch of handshakes adds to the days, so that a sender with many of
// them costs one write.
type tally map[dayKey]*dayCounts

type dayKey struct {
	day, sender int64
	version     handshake.Version
	suite       handshake.Suite
	group       handshake.Group
}

type dayCounts struct {
	byOutcome [Plaintext + 1]int64
	returned  int64
	last      int64 // id of the newest handshake
}

// add counts h for its sender and for all at its host.
func (t tally) add(h Handshake, sender, all int64, returned bool) {
	for _, of := range []int64{sender, all} {
		key := dayKey{dayOf(h.At), of, h.Version, h.Suite, h.Group}
		counts := t[key]
		if counts == nil {
			counts = new(dayCounts)
			t[key] = counts
		}
		if Full <= h.Outcome && h.Outcome <= Plaintext {
			counts.byOutcome[h.Outcome]++
		}
		if returned {
			counts.returned++
		}
		counts.last = h.ID
	}
}

// returned is how many sessions of the batch were in plaintext after a failed handshake.
func (t tally) returned() (n int64) {
	for key, counts := range t {
		if key.sender == allAt(here) {
			n += counts.returned
		}
	}
	return n
}

// write adds the sums to those stored.
func (t tally) write(s *store) error {
	for key, n := range t {
		err := s.exec(`INSERT INTO days
			(day, sender, version, suite, "group", full, resumed, failed, plaintext, returned, last)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET `+addCounts,
			key.day, key.sender, key.version, key.suite, key.group,
			n.byOutcome[Full], n.byOutcome[Resumed], n.byOutcome[Failed], n.byOutcome[Plaintext], n.returned, n.last)
		if err != nil {
			return err
		}
	}
	return nil
}
