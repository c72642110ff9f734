package ledger

import (
	"context"
	"database/sql"
)

func (st State) write(s *store) error {
	if len(st.Value) == 0 || len(st.Value) > maxState {
		return nil // no ladder's, and a cut one would be none
	}
	return s.exec(`INSERT INTO states (network, fingerprint, at, value, last) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at = excluded.at, value = excluded.value, last = excluded.last`,
		network(st.Network), bounded(st.Fingerprint, maxName), milli(st.At), st.Value, s.last)
}

// States returns what the ladder remembered, for it to go on with: the newest first,
// at most limit.
func (r *Reader) States(ctx context.Context, limit int) ([]State, error) {
	return readAll(ctx, r, "reading the ladder's states", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT at, network, fingerprint, value FROM states ORDER BY at DESC LIMIT ?`, limit)
		return nil
	}, func(scan scanner) (s State, err error) {
		err = scan(millis{&s.At}, prefix{&s.Network}, &s.Fingerprint, &s.Value)
		return s, err
	})
}
