package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
)

// A host whose file was lost begins a new one. Its records up to then are still at the other hosts, and for
// some days in the stream. It takes them as those of another host with its own name, so they are merged as
// such: by their times, which are before those of the new file.

// lost returns the records of a host that this file lacks. Of this host they are those of an earlier file.
func (s *store) lost(host string, all []taken) ([]taken, error) {
	first, err := s.number(`SELECT first FROM hosts WHERE id = ? AND name = ?`, here, host)
	if errors.Is(err, sql.ErrNoRows) { // it is another host
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	var lost []taken
	for _, t := range all {
		if t.id > first {
			break
		}
		lost = append(lost, t)
	}
	return lost, nil
}

// EndLost ends the alerts that were open in an earlier file of this host, when Take has taken all of it: what
// still holds begins an alert in this file. The other hosts get to know.
func (l *Ledger) EndLost(ctx context.Context) error {
	return l.wait(ctx, "ending alerts of an earlier ledger", func(w *writer) error {
		return w.use(func(s *store) error { return s.transact(s.endLost) })
	})
}

func (s *store) endLost() error {
	q := &query{}
	q.add(`SELECT host, value, EXISTS (SELECT 1 FROM alerts WHERE alerts.id = other_alerts.id) FROM other_alerts
		WHERE ended IS NULL AND host = (SELECT o.id FROM hosts AS o JOIN hosts AS h USING (name) WHERE o.id > 0 AND h.id = ?)`, here)
	type open struct {
		alert
		host  int64
		again bool // this file has given the number to another one, which the others have
	}
	all, err := rows(context.Background(), s.conn, q, func(scan scanner) (a open, err error) {
		var value []byte
		if err = scan(&a.host, &value, &a.again); err == nil {
			err = json.Unmarshal(value, &a.alert)
		}
		return a, err
	})
	if err != nil {
		return err
	}
	for _, a := range all {
		a.Ended = a.Seen
		s.host = a.host
		err := a.write(s)
		s.host = here
		if err == nil && !a.again {
			err = s.record(alertRecord, a.alert)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Follow notes that this host has published its records up to last, of which an earlier file may have had
// the last ones, and its clock may have been ahead then. Records that are not published get numbers after
// it.
func (l *Ledger) Follow(ctx context.Context, last int64) error {
	return l.wait(ctx, "numbering records for other hosts", func(w *writer) error {
		return w.use(func(s *store) error { return s.transact(func() error { return s.follow(last) }) })
	})
}

func (s *store) follow(last int64) error {
	position, err := s.number(`SELECT coalesce((SELECT position FROM hosts WHERE id = ?), ?)`, here, last)
	if err != nil || last <= position {
		return err
	}
	// A file that has read the stream has published its records, but for the last ones.
	mark, err := memoryOf(context.Background(), s.conn, fleetMemory)
	if err != nil {
		return err
	}
	if mark != nil {
		return s.exec(`UPDATE hosts SET position = ? WHERE id = ?`, last, here)
	}
	first, err := s.number(`SELECT first FROM hosts WHERE id = ?`, here)
	by := last - first
	if err == nil { // with no two rows of one number on the way
		err = s.exec(`UPDATE outbox SET first = -first - ?1, last = last + ?1`, by)
	}
	if err == nil {
		err = s.exec(`UPDATE outbox SET first = -first WHERE first < 0`)
	}
	if err == nil {
		err = s.exec(`UPDATE hosts SET position = position + ?1, first = first + ?1 WHERE id = ?2`, by, here)
	}
	return err
}
