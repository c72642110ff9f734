// Package ledger remembers what became of handshakes: each failed one with its
// transcript and diagnosis, for each sender and day how many got in and how, what
// the ladder decided and why, what an operator pinned, and the TLS reports that
// came in.
//
// It is one SQLite file. A [Ledger] is the server's: it alone writes, from one
// goroutine, in batches. A [Reader] is anybody's, in the same process or in another,
// while the server runs or not. [SetPin], [RemovePin] and [AddReport] write from outside,
// and the server hears of it.
//
// # Mail comes first
//
// [Ledger.AddHandshake] puts an event into a queue of bounded length and bytes and returns.
// Where the disk is full, slow or gone, or the file was taken away, events are lost
// and counted, one line of the log says so, and another when it is over. The
// writer opens the file again by itself. A damaged file is set aside under a
// name that says so. Only who brings a report waits until it is stored.
//
// # Words
//
// The package knows nothing of TLS and nothing of the ladder: rungs, cases and
// reasons are text to it, transcripts, reports and the ladder's states are JSON. What strangers
// chose is cut to a bound and made valid UTF-8 before it is stored; it may still hold control
// characters, for whoever prints it to mind.
package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/fallback"
	"postern/internal/logkey"
)

// Options say what a ledger keeps. The zero value is what most want.
type Options struct {
	// MaxAge is how long anything is kept, at least a day; 0 stands for
	// [DefaultMaxAge].
	// Pins stay until they are removed.
	MaxAge time.Duration

	// MaxSize is what the file and its journal may come to, in bytes, at least
	// 32 MiB; 0 stands for [DefaultMaxSize]. The oldest makes room for the newest.
	MaxSize int64

	// Log takes what happens to the file; nil is silent.
	Log *slog.Logger

	// Pins, when not nil, is called with all pins when the file has been opened, and
	// within two seconds of each change to them. It must not wait. The decisions that it
	// returns are stored.
	Pins func([]fallback.Pin) []fallback.Decision
}

// What [Options] mean where they say nothing.
const (
	DefaultMaxAge  = 90 * 24 * time.Hour
	DefaultMaxSize = 500 << 20
)

const (
	leastMaxAge  = 24 * time.Hour
	leastMaxSize = 32 << 20
)

// A Ledger takes events and writes them down. It is safe for concurrent use.
type Ledger struct {
	path string
	o    Options
	now  func() time.Time // the clock on the wall, which may jump

	queue   chan event
	queued  atomic.Int64 // bytes in the queue
	filings chan *filing // reports, whose bringers wait
	loss    loss

	closing sync.Once
	stop    chan struct{} // closed when the writer is to end
	done    chan struct{} // closed when it has
}

// Open begins to write the ledger at path, making or migrating the file. The folder
// must exist.
//
// It gives no error: a server without a ledger receives mail all the same. What is
// wrong with the file is logged, and the writer tries again until it is mended.
func Open(path string, o Options) *Ledger {
	l := newLedger(path, o)
	l.start()
	return l
}

func newLedger(path string, o Options) *Ledger {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxAge == 0 {
		o.MaxAge = DefaultMaxAge
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	o.MaxAge, o.MaxSize = max(o.MaxAge, leastMaxAge), max(o.MaxSize, leastMaxSize)
	return &Ledger{
		path:    path,
		o:       o,
		now:     time.Now,
		queue:   make(chan event, maxQueued),
		filings: make(chan *filing),
		loss:    loss{log: o.Log.With(logkey.Ledger, path), quiet: defaultQuiet},
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// start opens the file before it returns, so that a Reader finds it.
func (l *Ledger) start() {
	w := newWriter(l)
	w.look()
	go w.run()
}

// closeWait bounds Close, since the disk may hang.
const closeWait = 5 * time.Second

// Close writes what is queued and closes the file. It takes at most 5 seconds; its
// error says how many events were lost, now or earlier, of which the log has not been
// told yet. What is noted afterwards is lost.
func (l *Ledger) Close() error {
	l.closing.Do(func() { close(l.stop) })
	select {
	case <-l.done:
	case <-time.After(closeWait):
		l.loss.add(len(l.queue), errBehind)
	}
	if lost := l.loss.untold(); lost > 0 {
		return fmt.Errorf("ledger: %s: %d events were lost: %w", l.path, lost, *l.loss.cause.Load())
	}
	return nil
}

// The queue holds some seconds of a busy server's handshakes, or some thousand failed
// ones, and the states that the ladder hands over at once.
const (
	maxQueued      = 32 << 10
	maxQueuedBytes = 16 << 20
)

// An event is what the queue holds.
type event interface {
	// size is about the memory that the event takes, in bytes.
	size() int

	// write stores the event. Only the writer calls it.
	write(s *store) error
}

// AddHandshake stores h. It returns at once: if the writer is behind or cannot write, h is
// dropped and counted. What h refers to must not be changed afterwards.
func (l *Ledger) AddHandshake(h Handshake) { l.add(h) }

// AddDecisions stores decisions of the fallback, as AddHandshake does.
func (l *Ledger) AddDecisions(decisions []fallback.Decision) {
	for _, d := range decisions {
		l.add(decision(d))
	}
}

// AddStates stores states of the fallback, as AddHandshake does. They replace earlier ones
// with the same network and fingerprint.
func (l *Ledger) AddStates(states []fallback.State) {
	for _, s := range states {
		l.add(state(s))
	}
}

func (l *Ledger) add(e event) {
	select {
	case <-l.stop:
		l.loss.add(1, errClosed)
		return
	default:
	}
	size := int64(e.size())
	if l.queued.Add(size) > maxQueuedBytes {
		l.queued.Add(-size)
		l.loss.add(1, errBehind)
		return
	}
	select {
	case l.queue <- e:
	default:
		l.queued.Add(-size)
		l.loss.add(1, errBehind)
	}
}

// Dropped returns how many events were lost since Open.
func (l *Ledger) Dropped() int64 { return l.loss.count.Load() }

var (
	errBehind = errors.New("the disk is slower than the handshakes come")
	errClosed = errors.New("the ledger is closed")
)

// defaultQuiet is how long nothing must be lost for a loss to be over, so that
// a disk that is slow for an hour makes two lines, not thousands.
const defaultQuiet = time.Minute

// loss counts the events that were not written, and says so: once when that
// begins and once when it is over.
type loss struct {
	log     *slog.Logger
	quiet   time.Duration
	count   atomic.Int64
	told    atomic.Int64 // of count, what the log has been told
	running atomic.Bool
	cause   atomic.Pointer[error] // of the last
	last    atomic.Int64          // when the last was lost, as of time.Since(epoch)
}

// epoch is what the monotonic clock is measured from.
var epoch = time.Now()

// add counts n lost events. It may be called on mail's way and does not wait for
// the log.
func (l *loss) add(n int, cause error) {
	l.count.Add(int64(n))
	l.last.Store(int64(time.Since(epoch)))
	l.cause.Store(&cause)
	if !l.running.Swap(true) {
		go l.log.Warn("ledger dropping events; mail unaffected", logkey.Err, cause.Error())
	}
}

// end says that the loss is over, if it is.
func (l *loss) end() {
	if !l.running.Load() || time.Since(epoch)-time.Duration(l.last.Load()) < l.quiet {
		return
	}
	l.running.Store(false)
	l.log.Info("ledger storing events again", logkey.Lost, l.untold())
}

// untold is how many events were lost since it was last asked.
func (l *loss) untold() int64 {
	count := l.count.Load()
	return count - l.told.Swap(count)
}
