package ledger

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// emptyFiles are ledgers without rows, by their schema. Tests copy them: to make one takes a third
// of a second of a processor with the race detector.
var emptyFiles struct {
	sync.Mutex
	of map[int][]byte
}

// empty returns the path of a ledger without rows.
func empty(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger")
	if err := copyEmpty(path, len(migrations())); err != nil {
		t.Fatal(err)
	}
	return path
}

// copyEmpty creates a ledger without rows at a path, with the first migrations only.
func copyEmpty(path string, known int) error {
	emptyFiles.Lock()
	defer emptyFiles.Unlock()
	if file := emptyFiles.of[known]; file != nil {
		return os.WriteFile(path, file, mode)
	}
	if err := os.WriteFile(path, nil, mode); err != nil {
		return err
	}
	db, err := connect(path, forWriting())
	if err != nil {
		return err
	}
	if _, err := migrate(context.Background(), db, migrations()[:known]); err != nil {
		db.Close()
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	if emptyFiles.of == nil {
		emptyFiles.of = make(map[int][]byte)
	}
	emptyFiles.of[known], err = os.ReadFile(path)
	return err
}
