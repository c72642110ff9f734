package ledger

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"postern/internal/logkey"
)

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
		go l.log.Warn("ledger loses what happens, mail goes on", logkey.Err, cause.Error())
	}
}

// end says that the loss is over, if it is.
func (l *loss) end() {
	if !l.running.Load() || time.Since(epoch)-time.Duration(l.last.Load()) < l.quiet {
		return
	}
	l.running.Store(false)
	l.log.Info("ledger is whole again", logkey.Lost, l.untold())
}

// untold is how many events were lost since it was last asked.
func (l *loss) untold() int64 {
	count := l.count.Load()
	return count - l.told.Swap(count)
}
