package ledger

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"postern/internal/logkey"
)

const (
	// defaultDelay is how long the first event of a batch waits for others: one commit
	// writes a page of each index, for one event or for hundreds.
	defaultDelay = 200 * time.Millisecond

	// maxBatch bounds the events of a batch: writing it locks the file for other
	// processes, some 10 ms on an idle machine.
	maxBatch = 256

	// After a full batch the writer pauses for one part in batchPause of its time, so that
	// other processes get their turn to write while more events are queued.
	batchPause = 8

	// pollInterval is how often the writer checks the file and the pins.
	pollInterval = time.Second

	// After a failure the writer waits before it tries again, longer each time.
	firstPause = time.Second
	maxPause   = 30 * time.Second
)

// A writer is the goroutine that owns the file.
type writer struct {
	*Ledger
	store   *store        // nil if the file is not open
	openErr error         // why not
	pause   time.Duration // the last one after a failure
	resume  time.Time     // its end

	overflowed bool // more waited to be published than there is room for, since something was

	known     knownPins
	retention retention
}

func newWriter(l *Ledger) *writer {
	return &writer{Ledger: l, retention: retention{maxAge: l.o.MaxAge, maxSize: l.o.MaxSize}}
}

// run writes events until the ledger is closed, and then those still queued.
func (w *writer) run() {
	defer close(w.done)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case e := <-w.queue:
			batch := w.collect(e)
			begun := time.Now()
			w.write(batch)
			if len(batch) == maxBatch {
				time.Sleep(time.Since(begun) / batchPause)
			}
		case r := <-w.requested():
			w.serve(r)
		case <-tick.C:
			w.poll()
		case <-w.stop:
			w.drain()
			w.closeStore()
			return
		}
	}
}

// collect returns a batch of first and the events soon after it.
func (w *writer) collect(first event) []event {
	batch := []event{first}
	enough := time.NewTimer(w.delay)
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

// drain writes what is queued.
func (w *writer) drain() {
	for queued := len(w.queue); queued > 0; queued = len(w.queue) {
		batch := make([]event, min(queued, maxBatch))
		for i := range batch {
			batch[i] = <-w.queue
		}
		w.write(batch)
	}
}

// write stores events or drops them. After a failure it reopens the file and tries once
// more.
func (w *writer) write(events []event) {
	for _, e := range events {
		w.queued.Add(-int64(e.size()))
	}
	err := w.attempt(events)
	if err != nil {
		err = w.attempt(events)
	}
	if err != nil {
		w.drops.add(len(events), explained(w.path, err))
		w.backOff(err)
		return
	}
	w.returned.Add(w.store.days.returned())
	w.makeRoom(w.retention.bySize)
}

func (w *writer) attempt(events []event) error {
	return w.use(func(s *store) error { return s.write(events) })
}

// poll does what does not depend on events.
func (w *writer) poll() {
	w.maintain((*store).unstick)
	w.maintain(w.readPins)
	w.makeRoom(func(s *store) error { return w.retention.byAge(s, w.now()) })
	if w.store != nil {
		w.drops.end()
	}
}

// maintain runs a task that no event waits for.
func (w *writer) maintain(do func(*store) error) {
	if err := w.use(do); err != nil {
		w.drops.add(0, explained(w.path, err))
		w.backOff(err)
	}
}

// makeRoom runs a task that may delete rows.
func (w *writer) makeRoom(do func(*store) error) {
	w.maintain(func(s *store) error {
		err := do(s)
		if s.unpublished > 0 && !w.overflowed {
			w.o.Log.Warn("too many events wait for other hosts; the oldest are not published", logkey.Ledger, w.path)
		}
		w.overflowed = w.overflowed || s.unpublished > 0
		w.unpublished.Add(s.unpublished)
		s.unpublished = 0
		return err
	})
}

// use calls do with the open file. A failure closes it.
func (w *writer) use(do func(*store) error) error {
	err := w.open()
	if err == nil {
		err = do(w.store)
	}
	if err != nil {
		w.closeFailed(err)
		return err
	}
	w.pause = 0
	return nil
}

// backOff stops using the disk for a while after err.
func (w *writer) backOff(err error) {
	if time.Now().Before(w.resume) {
		return
	}
	w.openErr = err
	w.pause = min(max(2*w.pause, firstPause), maxPause)
	w.resume = time.Now().Add(w.pause)
}

// open makes sure that the file is open and still the one at the path.
func (w *writer) open() error {
	if time.Now().Before(w.resume) {
		return w.openErr
	}
	if w.store != nil && w.store.moved() {
		w.o.Log.Warn("ledger file removed or replaced; using what is at its path", logkey.Ledger, w.path)
		w.closeMoved()
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
	if err := s.register(w.o.Host); err != nil {
		s.close()
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

// closeFailed closes the file after err, and renames it if it is damaged.
func (w *writer) closeFailed(err error) {
	w.closeStore()
	if damaged(err) {
		w.setAside()
	}
}

func (w *writer) closeStore() {
	if w.store != nil {
		w.store.close()
		w.store = nil
	}
}

// closeMoved closes a file that is not at the path any more. It deletes the journal that
// the file left there: SQLite would apply it to the new file and damage that.
func (w *writer) closeMoved() {
	had := w.store.files
	w.closeStore()
	now := filesAt(w.path)
	for i, end := range suffixes {
		if i > 0 && had[i] != nil && now[i] != nil && os.SameFile(had[i], now[i]) {
			os.Remove(w.path + end)
		}
	}
}

// maxAside bounds the damaged files that are kept, so that they do not fill a failing
// disk.
const maxAside = 3

// setAside renames a damaged file and its journal, to make room for a new one.
func (w *writer) setAside() {
	aside := w.path + ".damaged-" + w.now().UTC().Format("20060102T150405.000Z")
	if err := os.Rename(w.path, aside); err != nil {
		return // the next attempt finds it damaged again
	}
	os.Rename(w.path+suffixes[1], aside+suffixes[1])
	os.Remove(w.path + suffixes[2]) // useless without the connections that used it
	w.o.Log.Error("ledger damaged; starting a new one", logkey.Ledger, w.path, logkey.Aside, aside,
		logkey.Remedy, "check the disk; sqlite3's .dump may read a part of the old file")
	w.removeOldAside()
}

func (w *writer) removeOldAside() {
	old, err := filepath.Glob(w.path + ".damaged-*Z")
	if err != nil {
		return
	}
	slices.Sort(old) // by time
	for len(old) > maxAside {
		for _, end := range suffixes {
			os.Remove(old[0] + end)
		}
		old = old[1:]
	}
}
