package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"postern/internal/fallback"
	"postern/internal/logkey"
	"postern/internal/safetext"
)

// ErrNoPin means that there is no pin of the network.
var ErrNoPin = errors.New("is not pinned")

// Pins returns all pins in the order of their networks, IPv4 first. The mode of a pin can be
// invalid, if another version wrote it.
func (r *Reader) Pins(ctx context.Context) ([]fallback.Pin, error) {
	return readAll(ctx, r, "reading pins", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT network, mode, why, since FROM pins ORDER BY length(network), network`)
		return nil
	}, func(scan scanner) (p fallback.Pin, err error) {
		err = scan(prefixInto(&p.Network), modeInto(&p.Mode), &p.Why, timeInto(&p.Since))
		return p, err
	})
}

// SetPin writes p to the ledger at path, in place of a pin of the same network. A running
// server applies it within two seconds. SetPin waits up to 10 seconds to write. The error
// wraps [ErrNoLedger], [ErrOlder] or [ErrNewer].
func SetPin(ctx context.Context, path string, p fallback.Pin) error {
	return alter(ctx, path, fmt.Sprintf("pinning %v", p.Network), func(conn *sql.Conn) error {
		return inTransaction(ctx, conn, func(tx *sql.Tx) error {
			if err := insertPin(ctx, tx, p); err != nil {
				return err
			}
			return notePinChange(ctx, tx, p.Network, p.Since)
		})
	})
}

// RemovePin removes the pin of exactly that network from the ledger at path, as SetPin
// adds it. The error wraps [ErrNoPin] if there is none.
func RemovePin(ctx context.Context, path string, of netip.Prefix, now time.Time) error {
	return alter(ctx, path, "removing a pin", func(conn *sql.Conn) error {
		return inTransaction(ctx, conn, func(tx *sql.Tx) error {
			result, err := tx.ExecContext(ctx, deletePin, prefixBytes(of))
			if err != nil {
				return err
			}
			switch n, err := result.RowsAffected(); {
			case err != nil:
				return err
			case n == 0:
				return fmt.Errorf("%v %w", of, ErrNoPin)
			}
			return notePinChange(ctx, tx, of, now)
		})
	})
}

const deletePin = `DELETE FROM pins WHERE network = ?`

func insertPin(ctx context.Context, db querier, p fallback.Pin) error {
	_, err := db.ExecContext(ctx, `INSERT INTO pins (network, mode, why, since) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET mode = excluded.mode, why = excluded.why, since = excluded.since`,
		prefixBytes(p.Network), p.Mode.String(), safetext.Truncate(p.Why, maxText), unixMilli(p.Since))
	return err
}

// notePinChange notes that the operator changed a pin at this host. That is later than each change
// that this host knew, whatever the clocks of other hosts.
func notePinChange(ctx context.Context, db querier, of netip.Prefix, at time.Time) error {
	_, err := db.ExecContext(ctx, `INSERT INTO pin_changes (network, changed, host)
		VALUES (?, ?, coalesce((SELECT name FROM hosts WHERE id = ?), ''))
		ON CONFLICT DO UPDATE SET changed = max(changed + 1, excluded.changed), host = excluded.host`,
		prefixBytes(of), unixMilli(at), here)
	return err
}

// putPinChange stores a change in place of what is known of the network.
func (s *store) putPinChange(c fallback.PinChange) error {
	ctx := context.Background()
	var err error
	if c.Removed {
		err = s.exec(deletePin, prefixBytes(c.Pin.Network))
	} else {
		err = insertPin(ctx, s.conn, c.Pin)
	}
	if err != nil {
		return err
	}
	return s.exec(`INSERT INTO pin_changes (network, changed, host) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET changed = excluded.changed, host = excluded.host`,
		prefixBytes(c.Pin.Network), unixMilli(c.Changed), c.Host)
}

// pinChanges reads all changes, in the order of their networks, IPv4 first.
func (s *store) pinChanges() ([]fallback.PinChange, error) {
	q := &query{}
	q.add(`SELECT network, mode IS NULL, coalesce(mode, ''), coalesce(why, ''), coalesce(since, 0), coalesce(changed, since), coalesce(host, '')
		FROM pins FULL JOIN pin_changes USING (network) ORDER BY length(network), network`)
	return rows(context.Background(), s.conn, q, func(scan scanner) (c fallback.PinChange, err error) {
		err = scan(prefixInto(&c.Pin.Network), &c.Removed, modeInto(&c.Pin.Mode), &c.Pin.Why, timeInto(&c.Pin.Since), timeInto(&c.Changed), &c.Host)
		if c.Removed {
			c.Pin = fallback.Pin{Network: c.Pin.Network}
		}
		return c, err
	})
}

// PinChanges returns the last change of each network's pin, in the order of the networks. It waits for its
// turn, until ctx is done.
func (l *Ledger) PinChanges(ctx context.Context) ([]fallback.PinChange, error) {
	var changes []fallback.PinChange
	err := l.wait(ctx, "reading pins", func(w *writer) error {
		err := w.use(w.readPins)
		changes = slices.Clone(w.known.changes)
		return err
	})
	if err != nil {
		return nil, err // the writer may be setting changes
	}
	return changes, nil
}

// TakePins stores changes of other hosts, each unless this host knows a later one of the network. The
// server has applied them when it returns. It waits for its turn, until ctx is done.
func (l *Ledger) TakePins(ctx context.Context, changes []fallback.PinChange) error {
	return l.wait(ctx, "taking pins of other hosts", func(w *writer) error {
		return w.use(func(s *store) error {
			if err := w.readPins(s); err != nil {
				return err
			}
			known := make(map[netip.Prefix]fallback.PinChange)
			for _, c := range w.known.changes {
				known[c.Pin.Network] = c
			}
			err := s.transact(func() error {
				for _, c := range changes {
					if before, ok := known[c.Pin.Network]; ok && !c.After(before) {
						continue
					}
					if err := s.putPinChange(c); err != nil {
						return err
					}
					known[c.Pin.Network] = c
				}
				return nil
			})
			if err != nil {
				return err
			}
			return w.loadPins(s)
		})
	})
}

// knownPins are the pins as the server last got them.
type knownPins struct {
	changes []fallback.PinChange
	of      *store // from which they were read
	version int64  // its data_version then
}

// pins returns those that were not removed.
func (k *knownPins) pins() (pins []fallback.Pin) {
	for _, c := range k.changes {
		if !c.Removed {
			pins = append(pins, c.Pin)
		}
	}
	return pins
}

// readPins passes the pins to the server if another process has changed them.
func (w *writer) readPins(s *store) error {
	version, err := s.number("PRAGMA data_version")
	if err != nil || w.known.of == s && w.known.version == version {
		return err
	}
	if err := w.loadPins(s); err != nil {
		return err
	}
	w.known.version = version
	return nil
}

// loadPins passes the pins to the server if they have changed.
func (w *writer) loadPins(s *store) error {
	changes, err := s.pinChanges()
	if err != nil {
		return err
	}
	first, before := w.known.of == nil, w.known.pins()
	w.known.changes, w.known.of = changes, s
	pins := w.known.pins()
	if w.o.Pins != nil && (first || !slices.Equal(pins, before)) {
		w.AddDecisions(w.o.Pins(pins))
	}
	return nil
}

// keepPins writes the known pins to a new file that replaces a lost one.
func (w *writer) keepPins(s *store) error {
	if len(w.known.changes) == 0 {
		return nil
	}
	w.o.Log.Info("keeping pins in new ledger", logkey.Ledger, w.path, logkey.Pins, len(w.known.pins()))
	return s.transact(func() error {
		for _, c := range w.known.changes {
			if err := s.putPinChange(c); err != nil {
				return err
			}
		}
		return nil
	})
}
