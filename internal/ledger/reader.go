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

// ErrNoLedger is what reading gives where there is no ledger.
var ErrNoLedger = fmt.Errorf("no ledger is kept there: %w", fs.ErrNotExist)

// A Reader asks a ledger, which a server may be writing meanwhile. It is safe for
// concurrent use. It changes nothing, though SQLite may make its files beside the
// ledger, for which it must be allowed to write in the folder.
type Reader struct {
	path  string
	known int // the newest schema that this version knows

	mu     sync.Mutex
	db     *sql.DB
	files  files
	notice string
}

// OpenReader opens the ledger at path for reading. The error wraps [ErrNoLedger], or
// [ErrNewer] if a Postern that is several migrations newer made it; see
// [Reader.Notice] for one.
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

// Notice returns a sentence for a person if a newer Postern made the ledger: what is
// new in it is not shown. Otherwise it is empty.
func (r *Reader) Notice() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.notice
}

// Close closes the ledger. Queries after it open it again.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shut()
}

func (r *Reader) shut() error {
	if r.db == nil {
		return nil
	}
	db := r.db
	r.db = nil
	return db.Close()
}

// read calls do with the open file and says what it was doing and where if that
// fails.
func (r *Reader) read(doing string, do func(*sql.DB) error) error {
	db, err := r.open()
	if err == nil {
		err = do(db)
	}
	if err == nil {
		return nil
	}
	if damaged(err) {
		err = fmt.Errorf("the file is damaged, a running server sets it aside and begins a new one: %w", err)
	}
	return fmt.Errorf("ledger: %s: %s: %w", r.path, doing, err)
}

// open opens the file, anew where the name leads to another.
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

// check compares the file's schema with those that this version can read. A file
// of an older one is read as it is.
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
		r.notice = fmt.Sprintf("the ledger was %v (schema %d, this version knows %d): what is new in it is not shown", ErrNewer, has, r.known)
	case has > r.known:
		return newer(has, r.known)
	}
	return nil
}

// readAll returns what row makes of each row of the query that ask makes.
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
