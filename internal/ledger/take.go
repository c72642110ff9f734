package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"postern/internal/logkey"
	"postern/internal/safetext"
)

// ErrReplaced means that the file is another one, which lacks what was taken into the one before.
var ErrReplaced = errors.New("the ledger file was replaced")

// Take stores records of another host, which come in the order of their IDs, and returns when they
// are stored. It ignores those up to [Ledger.Taken] of that host, so records can come any number of
// times: each counts once. Those that this version cannot read are left out, and logged once. Take
// waits for its turn, until ctx is done; the records may be stored all the same then.
//
// The caller knows that the records up to after were taken. If they were not taken into this file,
// Take stores nothing and returns [ErrReplaced], since those that are missing could not be taken later.
//
// Of this host itself, Take stores what the file lacks because it replaced an earlier one.
//
// What Take stores and how far it is are one transaction: a crash loses both, or none.
func (l *Ledger) Take(ctx context.Context, host string, after int64, records []Record) error {
	if host == "" || len(host) > maxHostName {
		return fmt.Errorf("ledger: taking records: %q is no name of a host", safetext.Truncate(host, maxHostName))
	}
	for some := range slices.Chunk(records, maxBatch) {
		taken := l.parse(host, some)
		err := l.wait(ctx, "taking records of "+host, func(w *writer) error { return w.take(host, after, taken) })
		if err != nil {
			return err
		}
		after = some[len(some)-1].ID
	}
	return nil
}

// Former returns the name that this host had last before the present one, empty if it had none.
func (l *Ledger) Former(ctx context.Context) (name string, err error) {
	err = l.wait(ctx, "reading the former name of this host", func(w *writer) error {
		return w.use(func(s *store) error {
			err := s.text(&name, `SELECT name FROM former_names ORDER BY position DESC LIMIT 1`)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			return err
		})
	})
	if err != nil {
		return "", err // the writer may be setting name
	}
	return name, nil
}

// Taken returns the ID of the last record of each host that Take has stored, under each name.
func (l *Ledger) Taken(ctx context.Context) (map[string]int64, error) {
	taken := make(map[string]int64)
	err := l.wait(ctx, "reading positions of other hosts", func(w *writer) error {
		return w.use(func(s *store) error {
			q := &query{}
			q.add(`SELECT name, max(position) FROM (` + positions + `) GROUP BY name`)
			_, err := rows(context.Background(), s.conn, q, func(scan scanner) (name string, err error) {
				var position int64
				err = scan(&name, &position)
				taken[name] = position
				return name, err
			})
			return err
		})
	})
	if err != nil {
		return nil, err // the writer may be adding to taken
	}
	return taken, nil
}

// fleetMemory is the name under which the mark is stored, beside what alerts remember.
const fleetMemory = "fleet"

// PutMark stores how far this host has read what the others published, as [Ledger.AddHandshake] stores an
// event. What it is the caller knows.
func (l *Ledger) PutMark(mark []byte) { l.add(memory{fleetMemory, mark}) }

// Mark returns the mark that was stored last, nothing if there is none. It waits for its turn, until
// ctx is done.
func (l *Ledger) Mark(ctx context.Context) ([]byte, error) {
	var mark []byte
	err := l.wait(ctx, "reading the mark of the fleet", func(w *writer) error {
		return w.use(func(s *store) (err error) {
			mark, err = memoryOf(context.Background(), s.conn, fleetMemory)
			return err
		})
	})
	if err != nil {
		return nil, err // the writer may be setting mark
	}
	return mark, nil
}

// A taken is a record that was read.
type taken struct {
	id    int64
	event event // nil if this version cannot read it
}

// parse reads records. It logs the first one that it cannot read.
func (l *Ledger) parse(host string, records []Record) (all []taken) {
	for _, r := range records {
		e, err := r.parse()
		if err != nil {
			l.logUnreadable(host, err)
		}
		all = append(all, taken{r.ID, e})
	}
	return all
}

// logUnreadable logs once why records are ignored.
func (l *Ledger) logUnreadable(host string, err error) {
	if !l.unreadable.Swap(true) {
		l.o.Log.Warn("ignoring records of another host", logkey.Member, host, logkey.Err, err,
			logkey.Remedy, "run the same version of postern at all hosts of the fleet")
	}
}

// take stores records of another host and makes room for them.
func (w *writer) take(host string, after int64, all []taken) error {
	replaced := false
	err := w.use(func(s *store) error {
		err := s.takeWhole(host, after, all)
		if unfit(err) {
			err = w.takeEach(s, host, after, all)
		}
		if replaced = errors.Is(err, ErrReplaced); replaced {
			return nil // which is no fault of the file
		}
		if errors.Is(err, errTooManyHosts) {
			w.logUnreadable(host, err)
			return nil
		}
		return err
	})
	if err != nil {
		w.backOff(err)
		return err
	}
	if replaced {
		return ErrReplaced
	}
	w.makeRoom(w.retention.bySize)
	return nil
}

// takeEach stores records one by one and leaves out those that do not fit into the tables. They say
// nothing about the disk, on which this host's own have to be stored, nor about the other records.
func (w *writer) takeEach(s *store, host string, after int64, all []taken) error {
	for _, t := range all {
		err := s.takeWhole(host, after, []taken{t})
		if unfit(err) {
			w.logUnreadable(host, fmt.Errorf("record %d: %w", t.id, err))
			err = s.takeWhole(host, after, []taken{{id: t.id}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeWhole stores all records, or none.
func (s *store) takeWhole(host string, after int64, all []taken) error {
	return s.transact(func() error { return s.take(host, after, all) })
}

// take stores the records of a host that are new, if it has those up to after.
func (s *store) take(host string, after int64, all []taken) error {
	all, err := s.lost(host, all)
	if err != nil || len(all) == 0 {
		return err
	}
	id, position, err := s.known(host)
	if err == nil && position < after {
		err = ErrReplaced
	}
	if err != nil {
		return err
	}
	var events []event
	for _, t := range all {
		if t.id <= position {
			continue
		}
		position = t.id
		if t.event != nil {
			events = append(events, t.event)
		}
	}
	s.host = id
	err = s.apply(events)
	s.host = here
	if err == nil {
		err = s.exec(`UPDATE hosts SET position = ? WHERE id = ?`, position, id)
	}
	return err
}
