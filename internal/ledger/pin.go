package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A Pin holds the senders of a network on a rung.
type Pin struct {
	Network netip.Prefix
	Rung    string
	Why     string // the operator's reason
	Since   time.Time
}

// ErrNoPin is what [RemovePin] gives where there is none.
var ErrNoPin = errors.New("is not pinned")

// alterWait bounds the wait for a turn to write.
const alterWait = 10 * time.Second

const insertPin = `INSERT INTO pins (network, rung, why, since) VALUES (?, ?, ?, ?)
	ON CONFLICT DO UPDATE SET rung = excluded.rung, why = excluded.why, since = excluded.since`

// columns are those of insertPin.
func (p Pin) columns() []any {
	return []any{network(p.Network), bounded(p.Rung, maxName), bounded(p.Why, maxText), milli(p.Since)}
}

const selectPins = `SELECT network, rung, why, since FROM pins ORDER BY length(network), network`

func scanPin(scan scanner) (p Pin, err error) {
	err = scan(prefix{&p.Network}, &p.Rung, &p.Why, millis{&p.Since})
	return p, err
}

// Pins returns all pins in the order of their networks, IPv4 first.
func (r *Reader) Pins(ctx context.Context) ([]Pin, error) {
	return readAll(ctx, r, "reading pins", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(selectPins)
		return nil
	}, scanPin)
}

// SetPin puts p into the ledger at path, in place of a pin of the same network. A
// server that runs heeds it within a second or two. It waits up to 10 seconds
// for its turn. The error wraps [ErrNone] or [ErrNewer].
func SetPin(ctx context.Context, path string, p Pin) error {
	return alter(ctx, path, fmt.Sprintf("pinning %v", p.Network), func(conn *sql.Conn) error {
		_, err := conn.ExecContext(ctx, insertPin, p.columns()...)
		return err
	})
}

// RemovePin removes the pin of just that network from the ledger at path, as SetPin
// puts it there. The error wraps [ErrNoPin] if it has none.
func RemovePin(ctx context.Context, path string, of netip.Prefix) error {
	return alter(ctx, path, "removing a pin", func(conn *sql.Conn) error {
		result, err := conn.ExecContext(ctx, `DELETE FROM pins WHERE network = ?`, network(of))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return fmt.Errorf("%v %w", of, ErrNoPin)
	})
}

// alter opens the file for a change from outside. It makes none and migrates none:
// that is the server's, whose user the file belongs to.
func alter(ctx context.Context, path, doing string, do func(*sql.Conn) error) error {
	r, err := OpenReader(path)
	if err != nil {
		return err
	}
	defer r.Close()
	return r.read(doing, func(*sql.DB) error {
		db, err := connect(path, forWriting())
		if err != nil {
			return err
		}
		defer db.Close()
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		return insist(ctx, conn, do)
	})
}

// insist tries again and again while another connection is writing. SQLite's own waiting
// looks ten times a second at last, which would miss each pause of a server that has
// much to write.
func insist(ctx context.Context, conn *sql.Conn, do func(*sql.Conn) error) error {
	if _, err := conn.ExecContext(ctx, "PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	for begun := time.Now(); ; time.Sleep(time.Millisecond / 2) {
		if err := do(conn); !busy(err) || time.Since(begun) > alterWait {
			return err
		}
	}
}
