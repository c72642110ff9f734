package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// How the old is deleted.
const (
	round = 10 * time.Minute // how often what is too old is looked for
	chunk = 1000             // handshakes deleted in one transaction, to keep the journal small
	most  = 100              // chunks in a round

	// maxJournal is about what the journal comes to: 4 MiB when it is cleared, and a
	// transaction before that.
	maxJournal = 8 << 20

	pageSize = 4096 // SQLite's own default
)

// A retention deletes what is too old or too much.
//
// The clock on the wall may be wrong. If it runs ahead, all would be too old at once: so
// the horizon, behind which things are deleted, moves by a hundredth of MaxAge a round, and an
// hour with a wrong clock costs 6 in 100. What was written by a clock that ran ahead would
// stay too long: so the hours that the server runs are counted, and what was
// written MaxAge of them ago goes too, whatever its date.
type retention struct {
	maxAge  time.Duration
	maxSize int64

	next time.Time // the next round, by the monotonic clock
	hour time.Time // the next hour to be counted, too
}

// byAge deletes what is too old, if it is time for a round. The time on the wall is now.
func (r *retention) byAge(s *store, now time.Time) error {
	if time.Now().Before(r.next) {
		return nil
	}
	r.next = time.Now().Add(round)
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
	return r.byReports(s)
}

// byReports keeps reports within a quarter of the file, since anybody can send some. Those not
// verified go first, then those of whoever has the most, the oldest of these: who sends
// many pushes out his own.
func (r *retention) byReports(s *store) error {
	limit := r.maxSize / 4
	size, err := s.number(`SELECT coalesce(sum(size), 0) FROM reports`)
	if err != nil || size <= limit {
		return err
	}
	return s.exec(`DELETE FROM reports WHERE id IN (SELECT id FROM (
		SELECT id, sum(size) OVER (ORDER BY verified DESC, share, at DESC, id DESC) AS come_to FROM (
			SELECT id, verified, at, size, sum(size) OVER (PARTITION BY verified, submitter) AS share FROM reports))
		WHERE come_to > ?)`, limit*19/20)
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
	return s.exec(`DELETE FROM hours WHERE hour < (SELECT max(hour) FROM hours) - ?`, int(r.maxAge/time.Hour))
}

// horizon moves the horizon and returns it.
func (r *retention) horizon(s *store, now time.Time) (time.Time, error) {
	to := now.Add(-r.maxAge)
	was, err := s.number(`SELECT horizon FROM retention`)
	if errors.Is(err, sql.ErrNoRows) {
		return to, s.exec(`INSERT INTO retention (horizon) VALUES (?)`, milli(to))
	}
	if limit := time.UnixMilli(was).Add(r.maxAge / 100); limit.Before(to) {
		to = limit
	}
	if err == nil {
		err = s.exec(`UPDATE retention SET horizon = ?`, milli(to))
	}
	return to, err
}

// bySize deletes the oldest while the file is too large, and gives its room back to the
// disk.
func (r *retention) bySize(s *store) error {
	limit := (r.maxSize*9/10 - maxJournal) / pageSize
	for range most {
		pages, err := s.number(`PRAGMA page_count`)
		if err != nil || pages <= limit {
			return err
		}
		free, err := s.number(`PRAGMA freelist_count`)
		if err != nil {
			return err
		}
		if pages-free <= limit*95/100 {
			_, err := s.conn.ExecContext(context.Background(), fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, pages-limit))
			return err
		}
		oldest, err := s.number(`SELECT coalesce(min(id), 0) FROM handshakes`)
		if err != nil {
			return err
		}
		if err := s.forget(time.Time{}, oldest+min(10*chunk, (s.last-oldest)/20)); err != nil {
			return err
		}
	}
	return nil
}

// forget deletes what was before horizon, and what was written with or before the handshake
// number last.
func (s *store) forget(horizon time.Time, last int64) error {
	before := milli(horizon)
	for range most {
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

// forgetRest deletes no sender of which a day is kept: its number may be another's next.
func (s *store) forgetRest(before, last int64) error {
	for _, rest := range []string{
		`DELETE FROM senders WHERE seen / 86400000 < ? / 86400000 OR last <= ?`,
		`DELETE FROM decisions WHERE at < ? OR last <= ?`,
		`DELETE FROM states WHERE at < ? OR last <= ?`,
		`DELETE FROM reports WHERE at < ? OR last <= ?`,
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
	return nil
}

const oldDay = `(day < ? / 86400000 OR last <= ?)`

// forgetHandshakes deletes a chunk of them at most, and returns the number.
func (s *store) forgetHandshakes(before, last int64) (n int64, err error) {
	err = s.transact(func() error {
		err := s.exec(`DELETE FROM handshakes WHERE id IN (SELECT id FROM handshakes WHERE at < ?
			UNION ALL SELECT id FROM handshakes WHERE id <= ? LIMIT ?)`, before, last, chunk)
		if err != nil {
			return err
		}
		n, err = s.number(`SELECT changes()`)
		return err
	})
	return n, err
}
