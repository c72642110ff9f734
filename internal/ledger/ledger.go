// Package ledger is the SQLite store of a server: failed handshakes with their transcripts
// and diagnoses, counts of sessions for each sender and day, the decisions, states and
// pins of the fallback, and TLS reports.
//
// The store is one file. Only the [Ledger] of the server writes events, from one goroutine
// and in batches. A [Reader] can read them in any process, whether the server runs or not.
// [SetPin], [RemovePin] and [AddReport] write from other processes; a running server
// notices.
//
// # Mail comes first
//
// [Ledger.AddHandshake] puts an event into a bounded queue and returns. If the disk is full,
// slow or gone, or the file was deleted, events are dropped and counted; the log gets one
// line when that begins and one when it is over. The writer reopens the file by itself. It
// renames a damaged file and starts a new one. Only [Ledger.AddReport], and what a fleet calls, wait
// for the disk.
//
// # Hosts of a fleet
//
// What a host records is kept for the others too, until it is published: see [Ledger.Own]. What they
// recorded comes by [Ledger.Take], and is stored by the same code with the host that it is of. So
// each sum is that of its host, and sums of all hosts are made when reading.
//
// # Untrusted text
//
// Text from senders is truncated and made valid UTF-8 before it is stored. It can still
// have control characters: print it with package safetext.
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

// Options are the options of a ledger. The zero value suits most.
type Options struct {
	// MaxAge is how long rows are kept, at least a day; 0 means [DefaultMaxAge].
	// Pins stay until they are removed.
	MaxAge time.Duration

	// MaxSize is the maximum size of the file and its journal in bytes, at least
	// 32 MiB; 0 means [DefaultMaxSize]. Each kind of row has room of its own, and the
	// networks with the most rows lose theirs first. Pins are never deleted.
	MaxSize int64

	// Host is this host's name in its fleet; see [Ledger.Own]. It is empty without a fleet: then
	// nothing is kept for other hosts.
	Host string

	// Log is for events of the file itself; nil discards them.
	Log *slog.Logger

	// Pins, when not nil, is called with all pins when the file has been opened, and
	// within two seconds of each change to them. It must not wait. The decisions that it
	// returns are stored.
	Pins func([]fallback.Pin) []fallback.Decision
}

// The defaults of [Options].
const (
	DefaultMaxAge  = 90 * 24 * time.Hour
	DefaultMaxSize = 500 << 20
)

const (
	minMaxAge  = 24 * time.Hour
	minMaxSize = 32 << 20
)

// A Ledger stores events. It is safe for concurrent use.
type Ledger struct {
	path  string
	o     Options
	now   func() time.Time // wall clock, which may jump
	delay time.Duration    // of a batch

	queue    chan event
	queued   atomic.Int64 // bytes in the queue
	requests chan *request
	drops    drops

	returned    atomic.Int64 // sessions in plaintext after a failed handshake, stored since Open
	unpublished atomic.Int64 // records that other hosts do not get
	unreadable  atomic.Bool  // a record of another host that could not be read was logged

	closing sync.Once
	stop    chan struct{} // closed to stop the writer
	done    chan struct{} // closed when it has stopped
}

// Open opens the ledger at path for writing, and creates or migrates the file. The folder
// must exist.
//
// Open returns no error, since a server can receive mail without a ledger. It logs what is
// wrong with the file, and retries until it works.
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
	o.MaxAge, o.MaxSize = max(o.MaxAge, minMaxAge), max(o.MaxSize, minMaxSize)
	return &Ledger{
		path:     path,
		o:        o,
		now:      time.Now,
		delay:    defaultDelay,
		queue:    make(chan event, maxQueued),
		requests: make(chan *request),
		drops:    drops{log: o.Log.With(logkey.Ledger, path), quiet: defaultQuiet},
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
}

// start opens the file before it returns, so that a Reader can open it.
func (l *Ledger) start() {
	w := newWriter(l)
	w.poll()
	go w.run()
}

// closeWait bounds Close, since the disk may hang.
const closeWait = 5 * time.Second

// Close writes the queued events and closes the file, in at most 5 seconds. The error says
// how many events were dropped and not logged yet. Later events are dropped.
func (l *Ledger) Close() error {
	l.closing.Do(func() { close(l.stop) })
	select {
	case <-l.done:
	case <-time.After(closeWait):
		l.drops.add(len(l.queue), errBehind)
	}
	if n := l.drops.unlogged(); n > 0 {
		return fmt.Errorf("ledger: %s: %d events dropped: %w", l.path, n, *l.drops.cause.Load())
	}
	return nil
}

// The queue holds some seconds of a busy server's handshakes, or some thousand failed
// ones, and the states that the fallback saves at once.
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
// dropped and counted, its transcript before others. What h refers to must not be changed
// afterwards.
func (l *Ledger) AddHandshake(h Handshake) {
	if l.queued.Load() > maxQueuedBytes/2 {
		h.Transcript = nil // a flood of failures would leave no place for anything else
	}
	l.add(h)
}

// AddDecisions stores decisions of the fallback, as AddHandshake does.
func (l *Ledger) AddDecisions(decisions []fallback.Decision) {
	for _, d := range decisions {
		l.add(decision(d))
	}
}

// AddAdopted stores decisions of another host that this one took over, as AddHandshake does. The other
// hosts have them from that one.
func (l *Ledger) AddAdopted(decisions []fallback.Decision) {
	for _, d := range decisions {
		l.add(adopted(d))
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
		l.drops.add(1, errClosed)
		return
	default:
	}
	size := int64(e.size())
	if l.queued.Add(size) > maxQueuedBytes {
		l.queued.Add(-size)
		l.drops.add(1, errBehind)
		return
	}
	select {
	case l.queue <- e:
	default:
		l.queued.Add(-size)
		l.drops.add(1, errBehind)
	}
}

// Stats are what a ledger does at a moment.
type Stats struct {
	Queued      int   // events that wait for the writer
	QueuedBytes int64 // about the memory that they take
	Dropped     int64 // events since Open
	Returned    int64 // sessions in plaintext after a failed handshake, since Open
	Unpublished int64 // records that other hosts do not get, since Open: too many waited
	Size        int64 // bytes of the file and of those beside it; 0 while there is none
}

// Stats returns the ledger's stats. It does not wait for the writer.
func (l *Ledger) Stats() Stats {
	s := Stats{
		Queued: len(l.queue), QueuedBytes: l.queued.Load(),
		Dropped: l.drops.count.Load(), Returned: l.returned.Load(), Unpublished: l.unpublished.Load(),
	}
	for _, info := range filesAt(l.path) {
		if info != nil {
			s.Size += info.Size()
		}
	}
	return s
}

var (
	errBehind = errors.New("the disk is too slow")
	errClosed = errors.New("the ledger is closed")
)

// defaultQuiet is the time without drops after which they are over, so that a disk that is
// slow for an hour makes two log lines, not thousands.
const defaultQuiet = time.Minute

// drops counts dropped events, and logs when they begin and when they are over.
type drops struct {
	log     *slog.Logger
	quiet   time.Duration
	count   atomic.Int64
	logged  atomic.Int64 // of count
	running atomic.Bool
	cause   atomic.Pointer[error] // of the last drop
	last    atomic.Int64          // time of the last drop, as time.Since(epoch)
}

// epoch is the zero of the monotonic clock.
var epoch = time.Now()

// add counts n dropped events. Sessions call it, so it does not wait for the log.
func (d *drops) add(n int, cause error) {
	d.count.Add(int64(n))
	d.last.Store(int64(time.Since(epoch)))
	d.cause.Store(&cause)
	if d.running.Swap(true) {
		return
	}
	remedy := "nothing if it is soon over; else see which process keeps the disk busy"
	if p := new(problem); errors.As(cause, &p) {
		remedy = p.remedy
	}
	go d.log.Warn("ledger dropping events; mail unaffected", logkey.Err, cause.Error(), logkey.Remedy, remedy)
}

// end logs that the drops are over, if they are.
func (d *drops) end() {
	if !d.running.Load() || time.Since(epoch)-time.Duration(d.last.Load()) < d.quiet {
		return
	}
	d.running.Store(false)
	d.log.Info("ledger storing events again", logkey.Dropped, d.unlogged())
}

// unlogged returns how many events were dropped since the last call.
func (d *drops) unlogged() int64 {
	count := d.count.Load()
	return count - d.logged.Swap(count)
}
