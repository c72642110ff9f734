package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"postern/internal/logkey"
	"postern/internal/safetext"
)

func (d Decision) write(s *store) error {
	return s.exec(`INSERT INTO decisions (at, kind, network, fingerprint, "from", "to", why, last)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		milli(d.At), safetext.Truncate(d.Kind, maxName), network(d.Network), safetext.Truncate(d.Fingerprint, maxName),
		safetext.Truncate(d.From, maxName), safetext.Truncate(d.To, maxName), safetext.Truncate(d.Why, maxText), s.last)
}

// Decisions returns the ladder's that f lets through, the newest first: those on the sender's
// networks, and those on its fingerprints as a whole. Of f it heeds Since, Sender and Limit.
func (r *Reader) Decisions(ctx context.Context, f Filter) ([]Decision, error) {
	return readAll(ctx, r, "reading decisions", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT at, kind, network, fingerprint, "from", "to", why FROM decisions WHERE at >= ?`, milli(f.Since))
		f.decided(q)
		q.add(`ORDER BY at DESC, id DESC LIMIT ?`, f.limit())
		return nil
	}, func(scan scanner) (d Decision, err error) {
		err = scan(millis{&d.At}, &d.Kind, prefix{&d.Network}, &d.Fingerprint, &d.From, &d.To, &d.Why)
		return d, err
	})
}

// decided appends the condition that a decision is on f's senders.
func (f Filter) decided(q *query) {
	if f.Sender == "" {
		return
	}
	q.add(`AND (network = ? AND fingerprint IN (SELECT fingerprint FROM senders WHERE TRUE`, network(everywhere))
	f.bySender(q)
	q.add(`) OR network <> ?`, network(everywhere))
	if prefix, named := f.network(); named {
		overlapping(q, prefix)
	} else {
		q.add(`AND network IN (SELECT network FROM senders WHERE TRUE`)
		f.bySender(q)
		q.add(`)`)
	}
	q.add(`)`)
}

// everywhere stands for the network of a fingerprint as a whole, of IPv4 senders too.
var everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)

func (st State) write(s *store) error {
	if len(st.Value) == 0 || len(st.Value) > maxState {
		return nil // no ladder's, and a cut one would be none
	}
	return s.exec(`INSERT INTO states (network, fingerprint, at, value, last) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET at = excluded.at, value = excluded.value, last = excluded.last`,
		network(st.Network), safetext.Truncate(st.Fingerprint, maxName), milli(st.At), st.Value, s.last)
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
	return []any{network(p.Network), safetext.Truncate(p.Rung, maxName), safetext.Truncate(p.Why, maxText), milli(p.Since)}
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
// for its turn. The error wraps [ErrNoLedger] or [ErrNewer].
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

// A pinboard is what the server has been told of the pins.
type pinboard struct {
	pins    []Pin
	of      *store // from which they were read
	version int64  // its data_version then
}

// readPins tells the server of the pins if they are not those that it knows.
func (w *writer) readPins(s *store) error {
	version, err := s.number("PRAGMA data_version")
	if err != nil || w.told.of == s && w.told.version == version {
		return err
	}
	pins, err := s.pins()
	if err != nil {
		return err
	}
	first := w.told.of == nil
	changed := !slices.Equal(pins, w.told.pins)
	w.told = pinboard{pins: pins, of: s, version: version}
	if w.o.Pins != nil && (first || changed) {
		w.o.Pins(slices.Clone(pins))
	}
	return nil
}

func (s *store) pins() ([]Pin, error) {
	q := &query{}
	q.add(selectPins)
	return rows(context.Background(), s.conn, q, scanPin)
}

// keepPins puts the pins that the server knows into a new file that took the place of one
// that is gone.
func (w *writer) keepPins(s *store) error {
	if len(w.told.pins) == 0 {
		return nil
	}
	w.o.Log.Info("ledger keeps the pins", logkey.Ledger, w.path, logkey.Pins, len(w.told.pins))
	return s.transact(func() error {
		for _, p := range w.told.pins {
			if err := s.exec(insertPin, p.columns()...); err != nil {
				return err
			}
		}
		return nil
	})
}
