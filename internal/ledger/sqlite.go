package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"postern/internal/oserror"
	"postern/internal/safetext"
	"postern/sessionticket"
)

// mode is the mode of a new file: it has the addresses of senders. SQLite creates its files
// beside it with the same mode.
const mode = 0o600

// busyTimeout is how long a connection waits while another one writes.
const busyTimeout = "5000" // ms

// suffixes are the name endings of the main file and of those that SQLite keeps beside it.
var suffixes = []string{"", "-wal", "-shm"}

// connect returns a pool of connections to the file at path. It opens the file on first use. A
// pipe is an error: SQLite would wait for it for ever.
func connect(path string, options url.Values) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: oserror.ErrNotRegular}
	}
	options.Set("_busy_timeout", busyTimeout)
	options.Set("_dqs", "0")
	options.Set("_error_rc", "1")
	name := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
	return sql.Open("sqlite", name.String())
}

// forWriting returns the options of a connection that writes. With synchronous at NORMAL a
// power cut may lose the last batches, and nothing else.
func forWriting() url.Values {
	return url.Values{
		"mode":          {"rw"},
		"_auto_vacuum":  {"INCREMENTAL"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		"_foreign_keys": {"1"},
		"_txlock":       {"immediate"},
		"_pragma":       {"journal_size_limit(4194304)", "cache_size(-32768)"}, // KiB, for the pages of a batch
	}
}

// forReading returns the options of a connection that reads.
func forReading() url.Values {
	return url.Values{"mode": {"ro"}, "_pragma": {"cache_size(-16384)"}}
}

// busy reports whether err means that another connection is writing.
func busy(err error) bool { return primary(err) == sqlite3.SQLITE_BUSY }

// damaged reports whether err means that the file is not a valid database.
func damaged(err error) bool {
	code := primary(err)
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// unfit reports whether err means that a value does not fit into its table, whatever the disk does.
func unfit(err error) bool {
	code := primary(err)
	return code == sqlite3.SQLITE_CONSTRAINT || code == sqlite3.SQLITE_MISMATCH || code == sqlite3.SQLITE_TOOBIG
}

// primary returns SQLite's primary result code of err, 0 if it has none.
func primary(err error) int {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return 0
	}
	return failed.Code() & 0xff
}

// files identify the main file and those beside it, to detect that others are at their paths.
type files [3]os.FileInfo

// filesAt returns the files at path; nil for those that do not exist.
func filesAt(path string) files {
	var f files
	for i, end := range suffixes {
		if info, err := os.Stat(path + end); err == nil {
			f[i] = info
		}
	}
	return f
}

// same reports whether now has the files of f. It may have more.
func (f files) same(now files) bool {
	for i := range f {
		if f[i] != nil && (now[i] == nil || !os.SameFile(f[i], now[i])) {
			return false
		}
	}
	return true
}

// A column is a [sql.Scanner] made of a function.
type column func(value any) error

// Scan calls the function.
func (c column) Scan(value any) error { return c(value) }

// unixMilli returns a time as a column: milliseconds since 1970. Earlier times, as the zero
// time, become 1970.
func unixMilli(t time.Time) int64 { return max(0, t.UnixMilli()) }

func timeInto(t *time.Time) column {
	return func(value any) error {
		n, ok := value.(int64)
		if !ok {
			return fmt.Errorf("%T in place of a time", value)
		}
		*t = time.UnixMilli(n).UTC()
		return nil
	}
}

// unixMilliOrNull returns a time as a column, and NULL for the zero time.
func unixMilliOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return unixMilli(t)
}

func timeOrNullInto(t *time.Time) column {
	return func(value any) error {
		if value == nil {
			return nil
		}
		return timeInto(t)(value)
	}
}

// addrBytes returns an address as a column: 4 or 16 bytes without the zone, none for the zero
// Addr.
func addrBytes(addr netip.Addr) []byte { return addr.Unmap().WithZone("").AsSlice() }

func addrInto(addr *netip.Addr) column {
	return func(value any) error {
		bytes, _ := value.([]byte)
		return addr.UnmarshalBinary(bytes)
	}
}

// prefixBytes returns a prefix as a column: the address, and a byte with the length.
func prefixBytes(p netip.Prefix) []byte {
	bits := p.Bits()
	if bits < 0 {
		return []byte{0} // netip.Prefix.UnmarshalBinary reads it as the zero Prefix
	}
	return append(addrBytes(p.Masked().Addr()), byte(bits))
}

func prefixInto(p *netip.Prefix) column {
	return func(value any) error {
		bytes, _ := value.([]byte)
		return p.UnmarshalBinary(bytes)
	}
}

// modeInto reads the name of a mode. A name that this version does not know becomes an invalid
// mode.
func modeInto(mode *sessionticket.Mode) column {
	return func(value any) error {
		name, _ := value.(string)
		if name != "" && mode.UnmarshalText([]byte(name)) != nil {
			*mode = math.MaxUint8
		}
		return nil
	}
}

// textList returns texts as a column: a JSON list, bounded in number and length, never null.
func textList(texts []string, most, limit int) string {
	kept := make([]string, 0, min(len(texts), most))
	for _, text := range texts[:cap(kept)] {
		kept = append(kept, safetext.Truncate(text, limit))
	}
	written, _ := json.Marshal(kept) // strings can be encoded
	return string(written)
}

func textsInto(texts *[]string) column {
	return func(value any) error {
		written, _ := value.(string)
		return json.Unmarshal([]byte(written), texts)
	}
}

// A query is an SQL query being built. Its text consists of constants; values are in args.
type query struct {
	text strings.Builder
	args []any
}

// add appends text and the args for its placeholders.
func (q *query) add(text string, args ...any) {
	q.text.WriteString(text)
	q.text.WriteByte('\n')
	q.args = append(q.args, args...)
}

// A scanner reads the columns of a row.
type scanner func(columns ...any) error

// A querier is a pool, a connection or a transaction.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// rows returns what row returns for each row of q. It reads all of them at once, since an
// open query keeps the writer from truncating its journal.
func rows[T any](ctx context.Context, db querier, q *query, row func(scanner) (T, error)) ([]T, error) {
	found, err := db.QueryContext(ctx, q.text.String(), q.args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []T
	for found.Next() {
		one, err := row(found.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, found.Err()
}

// oneRow returns what row returns for the row of q, and missing as a [notFound] if there is none.
func oneRow[T any](ctx context.Context, db querier, q *query, missing notFound, row func(scanner) (T, error)) (one T, err error) {
	found, err := rows(ctx, db, q, row)
	if err == nil && len(found) == 0 {
		err = missing
	}
	if err != nil {
		return one, err
	}
	return found[0], nil
}
