package ledger

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"postern/internal/logkey"
)

// How the writer works.
const (
	// gather is how long the first event of a batch waits for others: one commit
	// writes a page of each index, for one event or for hundreds.
	gather = 200 * time.Millisecond

	// maxBatch bounds a batch in events: the file is locked against other writers while
	// it is written, some 10 ms on an idle machine.
	maxBatch = 256

	// breath is the part of the time for a full batch that the writer pauses after it:
	// another process that wants to write gets its turn, though more is queued already.
	breath = 8

	// look is how often an idle writer looks at the file and the pins.
	look = time.Second

	// After a failure the writer lets the disk be, longer each time.
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// A writer is the goroutine that owns the file.
type writer struct {
	*Ledger
	store   *store        // nil: not open
	trouble error         // why not
	pause   time.Duration // how long the disk was last let be
	resume  time.Time     // until when it is

	known     knownPins
	retention retention
}

func newWriter(l *Ledger) *writer {
	return &writer{Ledger: l, retention: retention{maxAge: l.o.MaxAge, maxSize: l.o.MaxSize}}
}

// run writes until the ledger is closed, and then what is still queued.
func (w *writer) run() {
	defer close(w.done)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case e := <-w.queue:
			batch := w.collect(e)
			begun := time.Now()
			w.write(batch)
			if len(batch) == maxBatch {
				time.Sleep(time.Since(begun) / breath)
			}
		case f := <-w.filings:
			w.file(f)
		case <-tick.C:
			w.look()
		case <-w.stop:
			w.drain()
			w.shut()
			return
		}
	}
}

// collect makes a batch of first and what comes soon after it.
func (w *writer) collect(first event) []event {
	batch := []event{first}
	enough := time.NewTimer(gather)
	defer enough.Stop()
	for len(batch) < maxBatch {
		select {
		case e := <-w.queue:
			batch = append(batch, e)
		case <-enough.C:
			return batch
		case <-w.stop:
			return batch // drain collects the rest
		}
	}
	return batch
}

func (w *writer) drain() {
	for {
		select {
		case e := <-w.queue:
			w.write([]event{e})
		default:
			return
		}
	}
}

// write stores events, or counts them as lost. Where that fails the file is opened
// anew once, since that may mend it.
func (w *writer) write(events []event) {
	for _, e := range events {
		w.queued.Add(-int64(e.size()))
	}
	err := w.attempt(events)
	if err != nil {
		err = w.attempt(events)
	}
	if err != nil {
		w.loss.add(len(events), err)
		w.rest(err)
		return
	}
	w.tend(w.retention.bySize)
}

func (w *writer) attempt(events []event) error {
	return w.use(func(s *store) error { return s.write(events) })
}

// look sees to what is not driven by events.
func (w *writer) look() {
	w.tend(w.readPins)
	w.tend(func(s *store) error { return w.retention.byAge(s, w.now()) })
	if w.store != nil {
		w.loss.end()
	}
}

// tend does what no event waits for.
func (w *writer) tend(do func(*store) error) {
	if err := w.use(do); err != nil {
		w.loss.add(0, err)
		w.rest(err)
	}
}

// use calls do with the open file. A failure closes it.
func (w *writer) use(do func(*store) error) error {
	err := w.open()
	if err == nil {
		err = do(w.store)
	}
	if err != nil {
		w.abandon(err)
		return err
	}
	w.pause = 0
	return nil
}

// rest lets the disk be for a while after err.
func (w *writer) rest(err error) {
	if time.Now().Before(w.resume) {
		return
	}
	w.trouble = err
	w.pause = min(max(2*w.pause, firstPause), maxPause)
	w.resume = time.Now().Add(w.pause)
}

// open sees to it that the file is open and still the one that has the name.
func (w *writer) open() error {
	if time.Now().Before(w.resume) {
		return w.trouble
	}
	if w.store != nil && w.store.moved() {
		w.o.Log.Warn("ledger file gone; starting a new one", logkey.Ledger, w.path)
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
		w.o.Log.Info("migrated ledger", logkey.Ledger, w.path, logkey.Schema, len(migrations()))
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
	w.o.Log.Error("ledger damaged; starting a new one", logkey.Ledger, w.path, logkey.Aside, aside,
		logkey.Remedy, "check the disk; sqlite3's .recover may read the old file")
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
