package ledger

import (
	"context"
	"database/sql"
)

func (d Decision) write(s *store) error {
	return s.exec(`INSERT INTO decisions (at, kind, network, fingerprint, "from", "to", why, last)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		milli(d.At), bounded(d.Kind, maxName), network(d.Network), bounded(d.Fingerprint, maxName),
		bounded(d.From, maxName), bounded(d.To, maxName), bounded(d.Why, maxText), s.last)
}

// Decisions returns the ladder's that f lets through, the newest first. Of f it heeds
// Since, Limit, and Sender where that is an address or a prefix.
func (r *Reader) Decisions(ctx context.Context, f Filter) ([]Decision, error) {
	return readAll(ctx, r, "reading decisions", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT at, kind, network, fingerprint, "from", "to", why FROM decisions WHERE at >= ?`, milli(f.Since))
		if prefix, named := f.network(); named {
			overlapping(q, prefix)
		}
		q.add(`ORDER BY at DESC, id DESC LIMIT ?`, f.limit())
		return nil
	}, func(scan scanner) (d Decision, err error) {
		err = scan(millis{&d.At}, &d.Kind, prefix{&d.Network}, &d.Fingerprint, &d.From, &d.To, &d.Why)
		return d, err
	})
}
