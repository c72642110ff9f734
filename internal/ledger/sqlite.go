package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"postern/sessionticket"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// mode is the file's when it is made: it says who writes to whom, and its
// readers write to the files beside it. SQLite gives those the same mode.
const mode = 0o600

// busyTimeout is how long a connection waits for another that is writing.
const busyTimeout = "5000" // ms

// beside are the ends of the names of the files that SQLite keeps with the
// main one, which is the first.
var beside = []string{"", "-wal", "-shm"}

// connect returns connections to the file at path; it is opened when the first is used.
func connect(path string, options url.Values) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	options.Set("_busy_timeout", busyTimeout)
	options.Set("_dqs", "0")
	options.Set("_error_rc", "1")
	name := url.URL{Scheme: "file", Path: path, RawQuery: options.Encode()}
	return sql.Open("sqlite", name.String())
}

// forWriting are the options of a connection that writes. With synchronous at
// NORMAL a power cut may lose the last batches, and nothing more.
func forWriting() url.Values {
	return url.Values{
		"mode":          {"rw"},
		"_auto_vacuum":  {"INCREMENTAL"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {"NORMAL"},
		"_foreign_keys": {"1"},
		"_txlock":       {"immediate"},
		"_pragma":       {"journal_size_limit(4194304)", "cache_size(-32768)"}, // KiB: a batch's pages
	}
}

// forReading are the options of a connection that reads.
func forReading() url.Values {
	return url.Values{"mode": {"ro"}, "_pragma": {"cache_size(-16384)"}}
}

// busy reports whether err says that another connection is writing.
func busy(err error) bool { return primary(err) == sqlite3.SQLITE_BUSY }

// damaged reports whether err says that the file is no sound database.
func damaged(err error) bool {
	code := primary(err)
	return code == sqlite3.SQLITE_CORRUPT || code == sqlite3.SQLITE_NOTADB
}

// primary returns SQLite's code for err without its details; 0 if it has none.
func primary(err error) int {
	var failed *sqlite.Error
	if !errors.As(err, &failed) {
		return 0
	}
	return failed.Code() & 0xff
}

// files are the main file and those beside it as they are on disk, to tell whether the
// names still lead to them.
type files [3]os.FileInfo

// filesAt returns those at path; nil stands for one that is not there.
func filesAt(path string) files {
	var f files
	for i, end := range beside {
		if info, err := os.Stat(path + end); err == nil {
			f[i] = info
		}
	}
	return f
}

// same reports whether both are the same files. One that was not there when f
// was taken may have come since.
func (f files) same(now files) bool {
	for i := range f {
		if f[i] != nil && (now[i] == nil || !os.SameFile(f[i], now[i])) {
			return false
		}
	}
	return true
}

// How Go's values stand in columns. Reading is by sql.Scanner.

// millis reads a time in milliseconds since 1970.
type millis struct{ time *time.Time }

func (m millis) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("%T in place of a time", value)
	}
	*m.time = time.UnixMilli(n).UTC()
	return nil
}

// milli writes one. What is before 1970, as the zero time is, is taken for that.
func milli(t time.Time) int64 { return max(0, t.UnixMilli()) }

// blob writes an address: without a zone, in 4 or 16 bytes, none for the zero address.
func blob(addr netip.Addr) []byte {
	return addr.Unmap().WithZone("").AsSlice()
}

// address reads one.
type address struct{ addr *netip.Addr }

func (a address) Scan(value any) error {
	bytes, _ := value.([]byte)
	return a.addr.UnmarshalBinary(bytes)
}

// modeColumn reads the name of a mode. A name that this version does not know becomes a
// mode that is invalid.
type modeColumn struct{ mode *sessionticket.Mode }

func (m modeColumn) Scan(value any) error {
	name, _ := value.(string)
	if name != "" && m.mode.UnmarshalText([]byte(name)) != nil {
		*m.mode = math.MaxUint8
	}
	return nil
}

// network writes a prefix: its address and its length in a byte more.
func network(p netip.Prefix) []byte {
	bits := p.Bits()
	if bits < 0 {
		return []byte{0} // as netip.Prefix.UnmarshalBinary takes it for the zero prefix
	}
	return append(blob(p.Masked().Addr()), byte(bits))
}

// prefix reads one.
type prefix struct{ prefix *netip.Prefix }

func (p prefix) Scan(value any) error {
	bytes, _ := value.([]byte)
	return p.prefix.UnmarshalBinary(bytes)
}

// A query is SQL in the making. Its texts are constants, what varies is in args.
type query struct {
	text strings.Builder
	args []any
}

// add appends text, with args for its question marks.
func (q *query) add(text string, args ...any) {
	q.text.WriteString(text)
	q.text.WriteByte('\n')
	q.args = append(q.args, args...)
}

// A scanner reads the columns of a row.
type scanner func(columns ...any) error

// A querier is a connection, or a pool of them.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// rows returns what row makes of each row of q. All are read before any is used, since a
// reader that lingers keeps the writer's journal from being cleared.
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
