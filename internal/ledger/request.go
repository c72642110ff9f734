package ledger

import (
	"context"
	"fmt"
)

// A request is work of the writer that somebody waits for.
type request struct {
	do   func(*writer) error
	err  error // its result, when done is closed
	done chan struct{}
}

// wait has the writer do something, and returns when it has. It waits for its turn and for the disk,
// until ctx is done: it may be done all the same then. So do needs no ctx: the writer would close and
// open the file again after a query that was cancelled. The error says what was being done.
func (l *Ledger) wait(ctx context.Context, doing string, do func(*writer) error) error {
	r := &request{do: do, done: make(chan struct{})}
	select {
	case l.requests <- r:
	case <-ctx.Done():
		return fmt.Errorf("ledger: %s: waiting for the disk: %w", doing, context.Cause(ctx))
	case <-l.stop:
		return fmt.Errorf("ledger: %s: %w", doing, errClosed)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return fmt.Errorf("ledger: %s: waiting for the disk: %w", doing, context.Cause(ctx))
	}
	if r.err != nil {
		return fmt.Errorf("ledger: %s: %s: %w", l.path, doing, explained(l.path, r.err))
	}
	return nil
}

// requested returns the requests, unless much of what sessions recorded waits for the writer: that
// comes first.
func (w *writer) requested() chan *request {
	if len(w.queue) > maxQueued/2 {
		return nil
	}
	return w.requests
}

func (w *writer) serve(r *request) {
	defer close(r.done)
	r.err = r.do(w)
}
