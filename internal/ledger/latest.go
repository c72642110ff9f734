package ledger

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
)

// A Mark identifies the content of a ledger for one [Reader]: it is another one after each
// change, of whatever kind, by any process.
type Mark struct {
	Failed         int64 // id of the newest failed handshake
	opened, commit int64
}

// String returns the mark as a short text, another one for each mark.
func (m Mark) String() string { return fmt.Sprintf("%d-%d-%d", m.opened, m.commit, m.Failed) }

// A watch is the connection by which changes are noticed, with the query for them.
type watch struct {
	number int64 // of the watches of a [Reader]
	conn   *sql.Conn

	mu     sync.Mutex // a statement is for one caller at a time, until its row has been read
	latest *sql.Stmt
}

// read reads what identifies the content of the ledger.
func (w *watch) read(ctx context.Context) (m Mark, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m.opened = w.number
	err = w.latest.QueryRowContext(ctx).Scan(&m.commit, &m.Failed)
	return m, err
}

func (w *watch) close() {
	w.latest.Close()
	w.conn.Close()
}

// selectLatest has data_version, which counts the commits of other connections than this one, which
// makes none.
const selectLatest = `SELECT (SELECT data_version FROM pragma_data_version), (SELECT coalesce(max(handshake), 0) FROM failures)`

// Latest returns the current mark. It takes some ten microseconds, whatever the ledger has, so it
// can be called often by callers that wait for something new.
func (r *Reader) Latest(ctx context.Context) (m Mark, err error) {
	err = r.read("looking for changes", func(db *sql.DB) error {
		w, err := r.watching(ctx, db)
		if err != nil {
			return err
		}
		if m, err = w.read(ctx); err != nil {
			r.unwatch(w)
		}
		return err
	})
	return m, err
}

// watching returns the watch, and opens it if there is none.
func (r *Reader) watching(ctx context.Context, db *sql.DB) (*watch, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch != nil {
		return r.watch, nil
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	latest, err := conn.PrepareContext(ctx, selectLatest)
	if err != nil {
		conn.Close()
		return nil, err
	}
	r.opened++
	r.watch = &watch{number: r.opened, conn: conn, latest: latest}
	return r.watch, nil
}

// unwatch closes a watch that may not be usable any more.
func (r *Reader) unwatch(w *watch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watch == w {
		w.close()
		r.watch = nil
	}
}
