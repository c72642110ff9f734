package ledger

import (
	"context"
	"database/sql"
	"net/netip"
	"time"
)

// A Sender is one of those who come, with counts since a day.
type Sender struct {
	Network     netip.Prefix
	EHLO        string
	Fingerprint string    // JA4; empty in plaintext
	First, Seen time.Time // its first and its last session that are remembered
	Counts
}

// Counts are sessions.
type Counts struct {
	Full, Resumed, Failed, Plaintext int64
	Returned                         int64 // of Plaintext, those after a failed handshake
}

// A Day is what senders did in a day, with one outcome of the negotiation.
type Day struct {
	Day                   time.Time // its beginning in UTC
	Version, Suite, Group uint16    // in numbers of the wire; 0 where nothing was negotiated
	Counts
}

const sums = `coalesce(sum(full), 0), coalesce(sum(resumed), 0), coalesce(sum(failed), 0),
	coalesce(sum(plaintext), 0), coalesce(sum(returned), 0)`

func (c *Counts) columns() []any {
	return []any{&c.Full, &c.Resumed, &c.Failed, &c.Plaintext, &c.Returned}
}

// Senders returns those that f lets through and that came since, those with the most
// sessions first. It heeds all of f but Case and After.
func (r *Reader) Senders(ctx context.Context, f Filter) ([]Sender, error) {
	return readAll(ctx, r, "reading senders", func(ctx context.Context, db *sql.DB, q *query) error {
		q.add(`WITH counted (id, full, resumed, failed, plaintext, returned) AS (SELECT sender,`)
		q.add(sums + ` FROM days`)
		err := f.ofDays(ctx, db, q)
		q.add(`GROUP BY sender)
			SELECT network, ehlo, fingerprint, first, seen, full, resumed, failed, plaintext, returned
			FROM counted JOIN senders USING (id)`)
		switch {
		case f.Returned:
			q.add(`WHERE returned > 0`)
		case f.Failed:
			q.add(`WHERE failed > 0`)
		}
		q.add(`ORDER BY full + resumed + failed + plaintext DESC, seen DESC LIMIT ?`, f.limit())
		return err
	}, func(scan scanner) (s Sender, err error) {
		columns := []any{prefix{&s.Network}, &s.EHLO, &s.Fingerprint, millis{&s.First}, millis{&s.Seen}}
		err = scan(append(columns, s.columns()...)...)
		return s, err
	})
}

// Days returns what the senders that f lets through did, all in one, the newest day
// first. It heeds Since, Sender and Limit.
func (r *Reader) Days(ctx context.Context, f Filter) ([]Day, error) {
	return readAll(ctx, r, "reading days", func(ctx context.Context, db *sql.DB, q *query) error {
		q.add(`SELECT day, version, suite, "group", ` + sums + ` FROM days`)
		err := f.ofDays(ctx, db, q)
		q.add(`GROUP BY day, version, suite, "group" ORDER BY day DESC LIMIT ?`, f.limit())
		return err
	}, func(scan scanner) (d Day, err error) {
		var day int64
		err = scan(append([]any{&day, &d.Version, &d.Suite, &d.Group}, d.columns()...)...)
		d.Day = time.Unix(day*secondsOfDay, 0).UTC()
		return d, err
	})
}

// ofDays appends the condition that rows of days are f's.
func (f Filter) ofDays(ctx context.Context, db *sql.DB, q *query) error {
	q.add(`WHERE day >= ?`, milli(f.Since)/1000/secondsOfDay)
	senders, _, err := f.senders(ctx, db)
	if err == nil && senders != nil {
		q.add(`AND sender IN (SELECT value FROM json_each(?))`, senders)
	}
	return err
}
