package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// next is a migration of a Postern to come.
const next = `ALTER TABLE handshakes ADD COLUMN mood TEXT NOT NULL DEFAULT ''; CREATE TABLE moods (mood TEXT);`

// ledgerOf is the ledger of a Postern that knows more migrations.
func ledgerOf(t *testing.T, more ...string) string {
	t.Helper()
	path := written(t, failure("A"))
	s, from, err := openStore(path, append(migrations(), more...))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if from != len(migrations()) {
		t.Fatalf("migrated from %d, want %d", from, len(migrations()))
	}
	return path
}

func TestReaderReadsWhatIsOneMigrationNewer(t *testing.T) {
	t.Parallel()
	path := ledgerOf(t, next)
	r := reader(t, path)
	if got := sessions(t, r, Filter{}); got != "A" {
		t.Errorf("read %q, want what was noted before", got)
	}
	known := len(migrations())
	want := fmt.Sprintf("the ledger was written by a newer postern (schema %d, this version knows %d): what is new in it is not shown", known+1, known)
	if got := r.Notice(); got != want {
		t.Errorf("notice %q, want %q", got, want)
	}
	if r := reader(t, written(t)); r.Notice() != "" {
		t.Errorf("notice on a ledger of this version: %q", r.Notice())
	}
}

func TestWhatIsMuchNewerIsNotTouched(t *testing.T) {
	t.Parallel()
	path := ledgerOf(t, next, "CREATE TABLE years (year TEXT)")
	known := len(migrations())
	want := fmt.Sprintf("schema %d, this version knows %d: written by a newer postern; use that one", known+2, known)
	if _, err := OpenReader(path); !errors.Is(err, ErrNewer) || !strings.Contains(err.Error(), want) {
		t.Errorf("a reader is told %v, want %q", err, want)
	}
	if err := SetPin(t.Context(), path, Pin{}); !errors.Is(err, ErrNewer) {
		t.Errorf("SetPin: %v, want ErrNewer", err)
	}
}

func TestServerDoesNotWriteWhatIsNewer(t *testing.T) {
	t.Parallel()
	path := ledgerOf(t, next)
	var log logged
	l := opened(t, path, log.options())
	l.Note(failure("B"))
	until(t, "lost", func() bool { return l.Dropped() == 1 })
	known := len(migrations())
	until(t, "told", func() bool {
		return log.count(fmt.Sprintf("schema %d, this version knows %d: written by a newer postern; use that one", known+1, known)) == 1
	})
	if got := sessions(t, reader(t, path), Filter{}); got != "A" {
		t.Errorf("the ledger has %q, want it as it was", got)
	}
}

func TestReaderDoesNotMigrate(t *testing.T) {
	t.Parallel()
	path := written(t, failure("A"))
	r, err := openReader(path, len(migrations())+1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := sessions(t, r, Filter{}); got != "A" {
		t.Errorf("read %q, want A", got)
	}
	if has, err := schemaOf(context.Background(), r.db); err != nil || has != len(migrations()) {
		t.Errorf("schema %d, %v; want it left as it was", has, err)
	}
}

func TestMigrationIsWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	if _, _, err := openStore(path, append(migrations(), next+"CREATE nonsense")); err == nil {
		t.Fatal("nonsense is no migration")
	}
	s, from, err := openStore(path, append(migrations(), next))
	if err != nil || from != len(migrations()) {
		t.Fatalf("after a migration that failed: from %d, %v; want the one before it", from, err)
	}
	s.close()
}
