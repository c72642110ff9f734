package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	deleteInterval = 10 * time.Minute // how often old rows are deleted
	chunk          = 1000             // handshakes deleted in one transaction, to keep the journal small
	maxChunks      = 100              // deleted at a time

	// maxJournal is about the size of the journal: 4 MiB when it is truncated, plus a
	// transaction.
	maxJournal = 8 << 20

	pageSize = 4096 // SQLite's default
)

// A retention deletes rows that are too old or too many.
//
// The wall clock may be wrong. If it runs ahead, all rows would be too old at once: so the
// horizon, before which rows are deleted, moves by at most a hundredth of maxAge at a time,
// and an hour with a wrong clock costs 6 in 100 rows. Rows written while the clock ran ahead
// would stay too long: so the hours that the server runs are counted, and rows written maxAge
// of them ago are deleted too, whatever their date.
type retention struct {
	maxAge  time.Duration
	maxSize int64

	next time.Time // of the next deletion, on the monotonic clock
	hour time.Time // end of the hour being counted, on the monotonic clock
}

// byAge deletes rows that are too old, if it is time. now is on the wall clock.
func (r *retention) byAge(s *store, now time.Time) error {
	if time.Now().Before(r.next) {
		return nil
	}
	r.next = time.Now().Add(deleteInterval)
	if err := r.countHour(s); err != nil {
		return err
	}
	horizon, err := r.horizon(s, now)
	if err != nil {
		return err
	}
	last, err := s.number(`SELECT coalesce(max(last), -1) FROM hours
		WHERE hour <= (SELECT max(hour) FROM hours) - ?`, int(r.maxAge/time.Hour))
	if err != nil {
		return err
	}
	if err := s.forget(horizon, last); err != nil {
		return err
	}
	return r.byKind(s)
}

func (r *retention) countHour(s *store) error {
	now := time.Now()
	begun := !r.hour.IsZero()
	if begun && now.Before(r.hour) {
		return nil
	}
	r.hour = now.Add(time.Hour)
	if !begun {
		return nil
	}
	err := s.exec(`INSERT INTO hours (last) VALUES (?)`, s.last)
	if err != nil {
		return err
	}
	s.last++ // so that what is written after the hour is newer even if there are no handshakes
	return s.exec(`DELETE FROM hours WHERE hour < (SELECT max(hour) FROM hours) - ?`, int(r.maxAge/time.Hour))
}

// horizon moves the horizon and returns it.
func (r *retention) horizon(s *store, now time.Time) (time.Time, error) {
	to := now.Add(-r.maxAge)
	was, err := s.number(`SELECT horizon FROM retention`)
	if errors.Is(err, sql.ErrNoRows) {
		return to, s.exec(`INSERT INTO retention (horizon) VALUES (?)`, unixMilli(to))
	}
	if limit := time.UnixMilli(was).Add(r.maxAge / 100); limit.Before(to) {
		to = limit
	}
	if err == nil {
		err = s.exec(`UPDATE retention SET horizon = ?`, unixMilli(to))
	}
	return to, err
}

// bySize makes room while the file is too large, and shrinks the file: kinds of rows beyond their
// own room are cut, then the networks that have the most.
func (r *retention) bySize(s *store) error {
	limit := (r.maxSize*9/10 - maxJournal) / pageSize
	for try := range maxChunks {
		pages, err := s.number(`PRAGMA page_count`)
		if err != nil || pages <= limit {
			return err
		}
		free, err := s.number(`PRAGMA freelist_count`)
		if err != nil {
			return err
		}
		excess := pages - free - limit*95/100
		if excess <= 0 {
			_, err := s.conn.ExecContext(context.Background(), fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, pages-limit))
			return err
		}
		if try == 0 {
			err = r.byKind(s)
		} else if more, failed := s.cutNetworks(excess * pageSize); failed != nil || !more {
			return failed
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forget deletes the rows from before the horizon, and those stored with or before the
// handshake with the id last.
func (s *store) forget(horizon time.Time, last int64) error {
	before := unixMilli(horizon)
	for range maxChunks {
		n, err := s.forgetHandshakes(before, last)
		if err != nil {
			return err
		}
		if n < chunk {
			break
		}
	}
	return s.transact(func() error { return s.forgetRest(before, last) })
}

// forgetRest deletes no sender with a row in days: its id can be reused.
func (s *store) forgetRest(before, last int64) error {
	for _, rest := range []string{
		`DELETE FROM senders WHERE (seen / 86400000 < ? / 86400000 OR last <= ?)
			AND NOT EXISTS (SELECT 1 FROM handshakes WHERE sender = senders.id)`,
		`DELETE FROM decisions WHERE at < ? OR last <= ?`,
		`DELETE FROM completed WHERE at < ? OR handshake <= ?`,
		`DELETE FROM states WHERE at < ? OR last <= ?`,
		`DELETE FROM reports WHERE at < ? OR last <= ?`,
		`DELETE FROM refusals WHERE seen < ? OR last <= ?`,
		`DELETE FROM periods WHERE (number < ? / (minutes * 60000) OR last <= ?)`,
		`DELETE FROM events WHERE at < ? OR last <= ?`,
		`DELETE FROM checks WHERE at < ? OR last <= ?`,
		`WITH gone AS (SELECT sender AS id, ` + sums + ` FROM days WHERE ` + oldDay + ` GROUP BY sender)
			UPDATE senders AS s SET full = s.full - gone.full, resumed = s.resumed - gone.resumed, failed = s.failed - gone.failed,
			plaintext = s.plaintext - gone.plaintext, returned = s.returned - gone.returned
			FROM gone WHERE gone.id = s.id`,
		`DELETE FROM days WHERE ` + oldDay,
	} {
		if err := s.exec(rest, before, last); err != nil {
			return err
		}
	}
	return s.forgetAlerts(before)
}

const oldDay = `(day < ? / 86400000 OR last <= ?)`

// forgetHandshakes deletes at most a chunk of handshakes, and returns how many.
func (s *store) forgetHandshakes(before, last int64) (n int64, err error) {
	err = s.transact(func() error {
		err := s.exec(`DELETE FROM handshakes WHERE id IN (SELECT id FROM handshakes WHERE at < ?
			UNION ALL SELECT id FROM handshakes WHERE id <= ? LIMIT ?)`, before, last, chunk)
		if err == nil {
			n, err = s.number(`SELECT changes()`)
		}
		return err
	})
	return n, err
}
