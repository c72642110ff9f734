package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// maxHosts bounds the hosts of a fleet. Only those with its secret can add one.
const maxHosts = 256

var errTooManyHosts = fmt.Errorf("the ledger has rows of %d hosts, which is the most that it keeps", maxHosts)

// maxHostName bounds a host's name, in bytes: as long as a DNS name.
const maxHostName = 255

// here is the id of this host in the table hosts.
const here = 0

// allAt returns the id in days for all senders at a host together.
func allAt(host int64) int64 { return -host }

// register stores the name of this host. Without a name it is alone: nothing is kept for others.
//
// A record's number must not be used twice, even if what was written last was lost with the power,
// or the file: so the numbers go on from the time, in microseconds. No host has a record in each. The
// records up to there are not in a file in which no server has run: see lost.go.
func (s *store) register(name string) error {
	s.sharing = name != ""
	return s.transact(func() error {
		if err := s.rename(name); err != nil {
			return err
		}
		if s.sharing {
			return s.exec(`INSERT INTO hosts (id, name, position, first)
				SELECT ?1, ?2, ?3, CASE WHEN EXISTS (SELECT 1 FROM hours) THEN 0 ELSE ?3 END WHERE TRUE
				ON CONFLICT (id) DO UPDATE SET name = excluded.name, position = max(position, excluded.position)`,
				here, name, time.Now().UnixMicro())
		}
		err := s.exec(`DELETE FROM hosts WHERE id = ?`, here)
		if err == nil {
			err = s.exec(`DELETE FROM outbox`)
		}
		return err
	})
}

// rename keeps the name that this host had, if it gets another, or none.
func (s *store) rename(name string) error {
	err := s.exec(`INSERT INTO former_names SELECT name, position FROM hosts WHERE id = ? AND name <> ?
		ON CONFLICT DO UPDATE SET position = max(position, excluded.position)`, here, name)
	if err == nil {
		err = s.exec(`DELETE FROM former_names WHERE name = ?`, name)
	}
	return err
}

// known returns the id of another host, and the number of its last record here. It adds the host if
// it is new. What a host with a former name of this one recorded up to then is this host's own.
func (s *store) known(name string) (id, position int64, err error) {
	id, err = s.number(`SELECT id FROM hosts WHERE name = ? AND id > 0`, name)
	if errors.Is(err, sql.ErrNoRows) {
		var n int64
		n, err = s.number(`SELECT count(*) FROM hosts`)
		if err == nil && n >= maxHosts {
			err = errTooManyHosts
		}
		if err != nil {
			return 0, 0, err
		}
		id, err = s.number(`INSERT INTO hosts (id, name, position)
			VALUES ((SELECT max(0, coalesce(max(id), 0)) + 1 FROM hosts), ?, 0) RETURNING id`, name)
		if err != nil {
			return 0, 0, err
		}
	}
	if err == nil {
		position, err = s.number(`SELECT max(position) FROM (`+positions+`) WHERE name = ?`, name)
	}
	return id, position, err
}

// positions has, in SQL, the position up to which records under a name are here; of one name it can have
// two.
const positions = `SELECT name, position FROM hosts WHERE id > 0 UNION ALL SELECT name, position FROM former_names`

// Hosts returns the names of the hosts that rows can be of, this one's first. There are none
// without a fleet.
func (r *Reader) Hosts(ctx context.Context) ([]string, error) {
	return readAll(ctx, r, "reading hosts", func(_ context.Context, _ *sql.DB, q *query) error {
		q.add(`SELECT name FROM hosts GROUP BY name ORDER BY min(id) > 0, name`) // a name may have been another host's, or of a lost file
		return nil
	}, func(scan scanner) (name string, err error) {
		err = scan(&name)
		return name, err
	})
}

// hostOf is, in SQL, the name of the host with the id in a column; empty if it has none.
func hostOf(column string) string {
	return `coalesce((SELECT name FROM hosts WHERE hosts.id = ` + column + `), '')`
}

// Here, in place of a host's name in a filter, is the host whose ledger it is, in a fleet or not.
const Here = "."

// atHost appends the condition that a column has the id of a host, unless the name is empty.
func (q *query) atHost(column, name string) {
	switch name {
	case "":
	case Here:
		q.add(`AND `+column+` = ?`, here)
	default:
		q.add(`AND `+column+` IN (SELECT id FROM hosts WHERE name = ?)`, name)
	}
}

// others reports whether there are rows of other hosts.
func others(ctx context.Context, db querier) (found bool, err error) {
	err = db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM hosts WHERE id <> ?)`, here).Scan(&found)
	return found, err
}
