package ledger

import (
	"context"
	"database/sql"
	"fmt"
)

// A Mark identifies the content of a ledger for one [Reader]: it is another one after each
// change, of whatever kind, by any process.
type Mark struct {
	Failed         int64 // id of the newest failed handshake
	opened, commit int64
}

// String returns the mark as a short text, another one for each mark.
func (m Mark) String() string { return fmt.Sprintf("%d-%d-%d", m.opened, m.commit, m.Failed) }

// Latest returns the current mark. It takes some ten microseconds, whatever the ledger has, so it
// can be called often by callers that wait for something new.
func (r *Reader) Latest(ctx context.Context) (m Mark, err error) {
	err = r.read("looking for changes", func(db *sql.DB) error {
		var conn *sql.Conn
		if conn, m.opened, err = r.watching(ctx, db); err != nil {
			return err
		}
		// data_version counts the commits of other connections than this one, which makes none.
		err := conn.QueryRowContext(ctx, `SELECT (SELECT data_version FROM pragma_data_version), (SELECT coalesce(max(handshake), 0) FROM failures)`).
			Scan(&m.commit, &m.Failed)
		if err != nil {
			r.unwatch(conn)
		}
		return err
	})
	return m, err
}

// watching returns the connection by which changes are noticed, and its number.
func (r *Reader) watching(ctx context.Context, db *sql.DB) (*sql.Conn, int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == nil {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, 0, err
		}
		r.watch = conn
		r.opened++
	}
	return r.watch, r.opened, nil
}

// unwatch closes a connection that may not be usable any more.
func (r *Reader) unwatch(conn *sql.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == conn {
		conn.Close()
		r.watch = nil
	}
}
