package ledger

import (
	"compress/gzip"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A store is the open file of the writer. It keeps one connection, in which PRAGMA
// data_version changes when other processes write.
type store struct {
	path     string
	db       *sql.DB
	conn     *sql.Conn
	files    files
	last     int64       // id of the newest handshake
	host     int64       // of which the current batch is
	senders  senderTally // of the current batch, as days, periods and networks
	days     tally
	periods  periodTally
	networks holdings

	sharing     bool   // records are kept for other hosts
	outbox      outbox // of the current batch
	unpublished int64  // records that were deleted from it

	prepared map[string]*sql.Stmt
	gzip     *gzip.Writer // reused, since it is large
}

// openStore opens the file at path, or creates it, and migrates it by steps. It returns the
// schema that the file had.
func openStore(path string, steps []string) (*store, int, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, mode)
	if err != nil {
		return nil, 0, err
	}
	f.Close()
	db, err := connect(path, forWriting())
	if err != nil {
		return nil, 0, err
	}
	from, err := migrate(context.Background(), db, steps)
	if err != nil {
		db.Close()
		return nil, from, err
	}
	s := &store{path: path, db: db, prepared: make(map[string]*sql.Stmt), gzip: fastGzip()}
	if err := s.begin(); err != nil {
		s.close()
		return nil, from, err
	}
	return s, from, nil
}

// begin opens the connection and reads the last id. Ids are never reused, even if all
// handshakes were deleted.
func (s *store) begin() error {
	var err error
	if s.conn, err = s.db.Conn(context.Background()); err != nil {
		return err
	}
	s.files = filesAt(s.path)
	if err = s.unstick(); err != nil {
		return err
	}
	s.last, err = s.number(selectLast)
	return err
}

const selectLast = `SELECT max(
	(SELECT coalesce(max(id), 0) FROM handshakes),
	(SELECT coalesce(max(last) + 1, 0) FROM hours),
	(SELECT coalesce(max(last), 0) FROM reports))`

// moved reports whether there is another file at the path, or none.
func (s *store) moved() bool {
	now := filesAt(s.path)
	if !s.files.same(now) {
		return true
	}
	s.files = now
	return false
}

func (s *store) close() {
	for _, stmt := range s.prepared {
		stmt.Close()
	}
	if s.conn != nil {
		s.conn.Close()
	}
	s.db.Close()
}

// write stores events in one transaction.
func (s *store) write(events []event) error {
	return s.transact(func() error { return s.apply(events) })
}

// apply stores events of the current host, and what they add to its sums.
func (s *store) apply(events []event) error {
	s.senders, s.days, s.periods, s.networks = make(senderTally), make(tally), make(periodTally), make(holdings)
	for _, e := range events {
		if err := e.write(s); err != nil {
			return err
		}
	}
	if err := s.senders.write(s); err != nil {
		return err
	}
	if err := s.days.write(s); err != nil {
		return err
	}
	if err := s.periods.write(s); err != nil {
		return err
	}
	return s.networks.write(s)
}

// stuckJournal is the size of a journal that SQLite has not moved into the file for long.
const stuckJournal = 4 * maxJournal

// unstick moves a journal that is much too large into the file. SQLite does that by itself after a
// transaction, but ignores errors: while writing to the file fails and writing to the journal does
// not, the journal would grow until the disk is full.
func (s *store) unstick() error {
	info, err := os.Stat(s.path + suffixes[1])
	if err != nil || info.Size() < stuckJournal {
		return nil // without a journal SQLite makes one
	}
	_, err = s.conn.ExecContext(context.Background(), `PRAGMA wal_checkpoint(PASSIVE)`)
	return err
}

// transact calls do in a transaction, which has what do records for other hosts, too.
func (s *store) transact(do func() error) error {
	if err := s.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	before := s.last
	err := do()
	if err == nil {
		err = s.outbox.store(context.Background(), s.conn, s.gzip)
	}
	if err == nil {
		err = s.exec("COMMIT")
	}
	if err != nil {
		s.exec("ROLLBACK") // fails if SQLite has rolled back by itself
		s.last, s.outbox = before, outbox{}
	}
	return err
}

// prepare returns the prepared statement of query. Queries are constants, and parsed once.
func (s *store) prepare(query string) (*sql.Stmt, error) {
	if stmt := s.prepared[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(context.Background(), query)
	if err == nil {
		s.prepared[query] = stmt
	}
	return stmt, err
}

func (s *store) exec(query string, args ...any) error {
	stmt, err := s.prepare(query)
	if err == nil {
		_, err = stmt.Exec(args...)
	}
	return err
}

// text runs a query that returns one text.
func (s *store) text(to *string, query string, args ...any) error {
	stmt, err := s.prepare(query)
	if err == nil {
		err = stmt.QueryRow(args...).Scan(to)
	}
	return err
}

// number runs a query that returns one number.
func (s *store) number(query string, args ...any) (n int64, err error) {
	stmt, err := s.prepare(query)
	if err == nil {
		err = stmt.QueryRow(args...).Scan(&n)
	}
	return n, err
}

// The migrations, numbered from 1. From 7 on a migration only adds columns with a default,
// tables, indexes and triggers, so that a reader that knows one migration less still works.
//
//go:embed schema/*.sql
var schema embed.FS

// oldestReadable is the oldest schema that this version's queries can read. A migration that
// adds what a query needs raises it.
const oldestReadable = 23 // pin changes

// ErrOlder means that the server of this version has not migrated the ledger yet.
var ErrOlder = errors.New("written by an older postern")

// ErrNewer means that a newer version wrote the ledger.
var ErrNewer = errors.New("written by a newer postern")

// migrations returns the statements of each migration, in order.
func migrations() []string {
	names, err := schema.ReadDir("schema")
	if err != nil {
		panic(err) // embedded
	}
	var steps []string
	for _, name := range names {
		text, err := schema.ReadFile("schema/" + name.Name())
		if err != nil {
			panic(err)
		}
		steps = append(steps, string(text))
	}
	return steps
}

// Schema is the number of the newest migration that this version knows. The server migrates an
// older ledger to it.
func Schema() int { return len(migrations()) }

// schemaOf returns the number of the last migration of db, 0 for an empty file.
func schemaOf(ctx context.Context, db *sql.DB) (int, error) {
	var version int
	err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

// migrate applies the steps that db does not have yet, each in a transaction: a server that is killed
// goes on from there. To an empty file it applies all in one, so that who reads it at that moment does
// not take it for an old ledger. It returns the schema that db had.
func migrate(ctx context.Context, db *sql.DB, steps []string) (from int, err error) {
	from, err = schemaOf(ctx, db)
	if err != nil {
		return from, err
	}
	if from > len(steps) {
		return from, newer(from, len(steps))
	}
	if from == 0 {
		return from, step(ctx, db, len(steps), strings.Join(steps, "\n"))
	}
	for i := from; i < len(steps); i++ {
		if err := step(ctx, db, i+1, steps[i]); err != nil {
			return from, fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	return from, nil
}

func step(ctx context.Context, db *sql.DB, number int, text string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", number)); err != nil {
		return err
	}
	return tx.Commit()
}

func newer(has, known int) error {
	return &problem{
		what:   fmt.Sprintf("schema %d, this version knows %d: %v", has, known, ErrNewer),
		remedy: "use that version, or put back a copy of the file from before it",
		err:    ErrNewer,
	}
}

// alterWait bounds the wait of another process for its turn to write.
const alterWait = 10 * time.Second

// Create creates a ledger at path, before a server has opened one. The folder must exist; its
// owner gets the file, so that root can create the ledger of a server that runs as another
// user.
func Create(path string) error {
	s, _, err := openStore(path, migrations())
	if err == nil {
		s.close()
		err = chownLike(path, filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("ledger: creating %s: %w", path, explained(path, err))
	}
	return nil
}

// alter opens the file for a change by another process. It neither creates nor migrates
// it: the server does that, whose user owns the file.
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

// inTransaction calls do in a transaction of another process than the server.
func inTransaction(ctx context.Context, conn *sql.Conn, do func(*sql.Tx) error) error {
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// insist retries while another connection is writing. SQLite's own waiting polls ten times
// a second in the end, and would miss the pauses of a server that writes much.
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
