package ledger

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"postern/internal/logkey"
)

// open sees to it that the file is open and still the one that has the name.
func (w *writer) open() error {
	if time.Now().Before(w.resume) {
		return w.trouble
	}
	if w.store != nil && w.store.moved() {
		w.o.Log.Warn("ledger was taken away, a new one is begun", logkey.Ledger, w.path)
		w.leave()
	}
	if w.store != nil {
		return nil
	}
	err := w.openFile()
	if damaged(err) {
		w.setAside()
		err = w.openFile()
	}
	return err
}

func (w *writer) openFile() error {
	s, from, err := openStore(w.path, migrations())
	if err != nil {
		return err
	}
	if from > 0 && from < len(migrations()) {
		w.o.Log.Info("ledger is migrated", logkey.Ledger, w.path, logkey.Schema, len(migrations()))
	}
	w.store = s
	if from == 0 {
		return w.keepPins(s)
	}
	return nil
}

// abandon closes the file after err, and sets it aside if it is damaged.
func (w *writer) abandon(err error) {
	w.shut()
	if damaged(err) {
		w.setAside()
	}
}

func (w *writer) shut() {
	if w.store != nil {
		w.store.close()
		w.store = nil
	}
}

// leave closes a file whose name leads elsewhere. What it leaves beside a new file would be
// taken for the new one's, which would ruin that.
func (w *writer) leave() {
	had := w.store.files
	w.shut()
	now := filesAt(w.path)
	for i, end := range beside {
		if i > 0 && had[i] != nil && now[i] != nil && os.SameFile(had[i], now[i]) {
			os.Remove(w.path + end)
		}
	}
}

// maxAside bounds the damaged files that are kept: a disk that goes bad would fill up
// with them.
const maxAside = 3

// setAside renames a damaged file and its journal, so that a new one can be begun.
func (w *writer) setAside() {
	aside := w.path + ".damaged-" + w.now().UTC().Format("20060102T150405.000Z")
	if err := os.Rename(w.path, aside); err != nil {
		return // the next attempt finds it damaged again
	}
	os.Rename(w.path+beside[1], aside+beside[1])
	os.Remove(w.path + beside[2]) // worth nothing without the connections that used it
	w.o.Log.Error("ledger is damaged, a new one is begun", logkey.Ledger, w.path, logkey.Aside, aside,
		logkey.Remedy, "look at the disk; the sqlite3 command's .recover may read the old file")
	w.clearAside()
}

func (w *writer) clearAside() {
	old, err := filepath.Glob(w.path + ".damaged-*Z")
	if err != nil {
		return
	}
	slices.Sort(old) // by time
	for len(old) > maxAside {
		for _, end := range beside {
			os.Remove(old[0] + end)
		}
		old = old[1:]
	}
}
