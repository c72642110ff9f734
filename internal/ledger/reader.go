package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// ErrNoLedger means that there is no ledger at the path.
var ErrNoLedger error = notFound("no ledger")

// A notFound is an error that [errors.Is] takes for fs.ErrNotExist, without its text: what is
// missing need not be a file.
type notFound string

func (n notFound) Error() string        { return string(n) }
func (n notFound) Is(target error) bool { return target == fs.ErrNotExist }

// A Reader reads a ledger, while a server may write it. It is safe for concurrent use. It
// changes nothing, but must have permission to write in the folder: SQLite may create its
// files beside the ledger.
type Reader struct {
	path  string
	known int // the newest known schema

	mu     sync.Mutex
	db     *sql.DB
	files  files
	notice string
	watch  *watch // of db, for [Reader.Latest]; nil until it is used
	opened int64  // how often a watch was
}

// OpenReader opens the ledger at path for reading. The error wraps [ErrNoLedger], [ErrOlder],
// or [ErrNewer] if the ledger is more than one migration newer; for one see
// [Reader.Notice].
func OpenReader(path string) (*Reader, error) {
	return openReader(path, len(migrations()))
}

func openReader(path string, known int) (*Reader, error) {
	r := &Reader{path: path, known: known}
	if err := r.read("opening", func(*sql.DB) error { return nil }); err != nil {
		return nil, err
	}
	return r, nil
}

// Notice returns a warning for people if the ledger is one migration newer. Otherwise it is
// empty.
func (r *Reader) Notice() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notice
}

// Close closes the ledger. Later queries reopen it.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shut()
}

func (r *Reader) shut() error {
	if r.db == nil {
		return nil
	}
	if r.watch != nil {
		r.watch.close()
	}
	db := r.db
	r.db, r.watch = nil, nil
	return db.Close()
}

// read calls do with the open file. Its error names the file and what was done.
func (r *Reader) read(doing string, do func(*sql.DB) error) error {
	db, err := r.open()
	if err == nil {
		err = do(db)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("ledger: %s: %s: %w", r.path, doing, explained(r.path, err))
}

// open opens the file, and reopens it if there is another one at the path.
func (r *Reader) open() (*sql.DB, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.db != nil && !r.files.same(filesAt(r.path)) {
		r.shut()
	}
	if r.db != nil {
		return r.db, nil
	}
	if _, err := os.Stat(r.path); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoLedger
	} else if err != nil {
		return nil, err
	}
	db, err := connect(r.path, forReading())
	if err != nil {
		return nil, err
	}
	if err := r.check(db); err != nil {
		db.Close()
		return nil, err
	}
	r.db = db
	r.files = files{filesAt(r.path)[0]} // the journal comes and goes with a server
	return db, nil
}

// check compares the schema of the file with those that this version can read. It does not
// migrate an older one.
func (r *Reader) check(db *sql.DB) error {
	has, err := schemaOf(context.Background(), db)
	r.notice = ""
	switch {
	case err != nil:
		return err
	case has == 0:
		return ErrNoLedger
	case has < oldestReadable:
		return fmt.Errorf("schema %d, this version reads %d and later: %w", has, oldestReadable, ErrOlder)
	case has == r.known+1:
		r.notice = fmt.Sprintf("ledger %v (schema %d, this version knows %d): its new data is not shown", ErrNewer, has, r.known)
	case has > r.known:
		return newer(has, r.known)
	}
	return nil
}

// readAll runs the query that ask builds, and returns what row returns for each of its rows.
func readAll[T any](ctx context.Context, r *Reader, doing string,
	ask func(context.Context, *sql.DB, *query) error, row func(scanner) (T, error)) ([]T, error) {
	var all []T
	err := r.read(doing, func(db *sql.DB) error {
		q := &query{}
		err := ask(ctx, db, q)
		if err == nil {
			all, err = rows(ctx, db, q, row)
		}
		return err
	})
	return all, err
}
