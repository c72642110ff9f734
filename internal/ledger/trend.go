package ledger

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"time"
)

// TrendDays is how many days a trend has.
const TrendDays = 14

// A Trend has the counts of a sender for each of some days in UTC, the oldest first.
type Trend [TrendDays]Counts

// Trends returns the trends of senders, in their order, up to the day of until.
func (r *Reader) Trends(ctx context.Context, senders []Sender, until time.Time) ([]Trend, error) {
	trends := make([]Trend, len(senders))
	names := make([][4]string, len(senders))
	for i, s := range senders {
		names[i] = [4]string{hex.EncodeToString(prefixBytes(s.Network)), s.EHLO, s.Fingerprint, s.Host}
	}
	list, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	last := dayOf(until)
	type day struct {
		sender, day int64
		Counts
	}
	days, err := readAll(ctx, r, "reading trends", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`WITH RECURSIVE span (day) AS (SELECT ? UNION ALL SELECT day + 1 FROM span WHERE day < ?)
			SELECT j.key, days.day, sum(days.full), sum(days.resumed), sum(days.failed), sum(days.plaintext), sum(days.returned)
			FROM json_each(?) AS j
			CROSS JOIN senders AS s ON s.network = unhex(j.value ->> 0) AND s.ehlo = j.value ->> 1 AND s.fingerprint = j.value ->> 2
				AND (j.value ->> 3 = '' OR s.host IN (SELECT id FROM hosts WHERE name = j.value ->> 3))
			CROSS JOIN span CROSS JOIN days ON days.day = span.day AND days.sender = s.id
			GROUP BY j.key, days.day`, last-TrendDays+1, last, list)
		return nil
	}, func(scan scanner) (d day, err error) {
		err = scan(append([]any{&d.sender, &d.day}, d.columns()...)...)
		return d, err
	})
	for _, d := range days {
		trends[d.sender][d.day-last+TrendDays-1] = d.Counts
	}
	return trends, err
}
