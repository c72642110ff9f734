package ledger

import "time"

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

	told      pinboard
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
func (w *writer) collect(first Event) []Event {
	batch := []Event{first}
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
			w.write([]Event{e})
		default:
			return
		}
	}
}

// write stores events, or counts them as lost. Where that fails the file is opened
// anew once, since that may mend it.
func (w *writer) write(events []Event) {
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

func (w *writer) attempt(events []Event) error {
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
