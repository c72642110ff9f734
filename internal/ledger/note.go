package ledger

// The queue holds some seconds of a busy server's handshakes, or some thousand failed
// ones, and the states that the ladder hands over at once.
const (
	maxQueued      = 32 << 10
	maxQueuedBytes = 16 << 20
)

// Note remembers e. It returns at once: where the writer is behind or cannot write,
// the event is lost and counted. What e refers to must not be changed afterwards.
func (l *Ledger) Note(e Event) {
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
