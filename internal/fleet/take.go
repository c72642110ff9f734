package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/ledger"
	"postern/internal/logkey"
)

const (
	// maxFetched bounds the messages that wait to be taken, and with it their memory.
	maxFetched = 16

	// markInterval is how often a host notes how far it has read. What it reads again after a
	// crash it does not take again.
	markInterval = 10 * time.Second

	// firstMessage is the sequence number at which a stream begins.
	firstMessage = 1
)

// errGap means that messages are missing before one, at least in what was read.
var errGap = errors.New("messages are missing")

// A taker takes what other hosts published.
type taker struct {
	*Fleet
	stream time.Time        // when it was made
	before uint64           // its last message at the beginning; what this host publishes later is here
	taken  map[string]int64 // positions by host
	next   uint64           // sequence number of the next message
	whole  bool             // the stream was read from its beginning
	ended  bool             // it was read to its end once
	marked time.Time        // on the monotonic clock
}

// takeEvents takes what other hosts published until ctx ends, or returns when again is closed.
func (f *Fleet) takeEvents(ctx context.Context, js jetstream.JetStream, again <-chan struct{}) error {
	ctx, cancel := until(ctx, again)
	defer cancel()
	err := f.readEvents(ctx, js)
	if ctx.Err() != nil { // which may be the cause of err
		return nil
	}
	if errors.Is(err, ledger.ErrReplaced) {
		return nil // and begin again, with what the new file has
	}
	return err
}

// readEvents takes what other hosts published until ctx ends.
func (f *Fleet) readEvents(ctx context.Context, js jetstream.JetStream) error {
	stream, err := f.openEvents(ctx, js)
	if err != nil {
		return err
	}
	t, err := f.newTaker(ctx, stream.CachedInfo())
	if err != nil {
		return err
	}
	for {
		err := t.read(ctx, js)
		if !errors.Is(err, errGap) {
			return err
		}
		t.next, t.whole = firstMessage, true // what is missing may be in the stream all the same
	}
}

// until returns a context that ends with ctx, and when again is closed.
func until(ctx context.Context, again <-chan struct{}) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-again:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// A mark is how far a host has read. It is stored as JSON.
type mark struct {
	Stream time.Time        `json:"stream"` // when the stream was made
	Last   uint64           `json:"last"`   // sequence number of the last message that was taken
	Taken  map[string]int64 `json:"taken"`  // positions by host
}

// newTaker returns one that goes on at the mark, or begins with the stream if NATS has lost what was
// there, or the ledger: its file may have been replaced before the mark was stored.
func (f *Fleet) newTaker(ctx context.Context, stream *jetstream.StreamInfo) (*taker, error) {
	t := &taker{Fleet: f, stream: stream.Created, before: stream.State.LastSeq, next: firstMessage}
	var err error
	if t.taken, err = f.Events.Taken(ctx); err != nil {
		return nil, ofLedger(err)
	}
	value, err := f.Events.Mark(ctx)
	if err != nil {
		return nil, ofLedger(err)
	}
	var m mark
	if json.Unmarshal(value, &m) == nil && m.Stream.Equal(t.stream) && m.Last <= stream.State.LastSeq && t.has(m.Taken) {
		t.next = m.Last + 1
	}
	t.whole = t.next == firstMessage
	return t, nil
}

// has reports whether all was taken up to these positions.
func (t *taker) has(positions map[string]int64) bool {
	for host, position := range positions {
		if t.taken[host] < position {
			return false
		}
	}
	return true
}

// mark notes how far this host has read, now and then.
func (t *taker) mark() {
	if time.Since(t.marked) >= markInterval {
		t.putMark()
	}
}

func (t *taker) putMark() {
	if value, err := json.Marshal(mark{Stream: t.stream, Last: t.next - 1, Taken: t.taken}); err == nil { // its year is one that JSON has
		t.marked = time.Now()
		t.Events.PutMark(value)
	}
}

// read reads from the next message on.
func (t *taker) read(ctx context.Context, js jetstream.JetStream) error {
	r := &reader{js: js, stream: t.eventStream(), next: t.next, most: maxFetched}
	if err := r.begin(ctx); err != nil {
		return err
	}
	defer r.stop()
	defer t.putMark() // so that the next attempt begins with what fails
	waiting, err := t.check(ctx, r, 0)
	for err == nil {
		if waiting == 0 { // else the next one may be what failed before
			t.note(partTaking, nil)
		}
		within, cancel := context.WithTimeout(ctx, checkInterval)
		msg, at, failed := r.read(ctx, within)
		cancel()
		switch {
		case failed == nil:
			waiting, err = 0, t.take(ctx, msg, at)
		case errors.Is(failed, context.DeadlineExceeded):
			waiting, err = t.check(ctx, r, waiting)
		default:
			err = failed
		}
	}
	return err
}

// check returns how many messages wait for this host. It is an error if some did before, and none has
// arrived since.
func (t *taker) check(ctx context.Context, r *reader, before uint64) (waiting uint64, err error) {
	now := t.Now()
	info, err := ask(ctx, r.consumer.Info)
	if err != nil {
		return 0, err
	}
	if before > 0 {
		return 0, fmt.Errorf("%d messages did not arrive", before)
	}
	if info.NumPending == 0 {
		err = t.caughtUp(ctx, now)
	}
	return info.NumPending, err
}

// caughtUp notes that this host had taken all at a time.
func (t *taker) caughtUp(ctx context.Context, now time.Time) error {
	t.hasTakenAll(now)
	if t.ended {
		return nil
	}
	t.ended = true
	return ofLedger(t.Events.EndLost(ctx))
}

// take takes a message. It ignores one that was not written with the secret of the fleet.
func (t *taker) take(ctx context.Context, msg jetstream.Msg, at *jetstream.MsgMetadata) error {
	now := t.Now()
	b, err := t.openBatch(msg.Subject(), msg.Data())
	switch {
	case errors.Is(err, errNewer): // it waits until this host is upgraded
		return fmt.Errorf("an event %w", err)
	case err != nil:
		t.Log.Debug("ignoring events of the fleet", logkey.Entry, msg.Subject(), logkey.Err, err)
	case b.Host != t.Name:
		if err := t.takeBatch(ctx, b); err != nil {
			return err
		}
	case at.Sequence.Stream <= t.before:
		if err := t.toLedger(ctx, b, 0); err != nil {
			return err
		}
	}
	t.next = at.Sequence.Stream + 1
	t.mark()
	if at.NumPending == 0 {
		return t.caughtUp(ctx, now)
	}
	return nil
}

// takeBatch takes what another host published, unless this host has it.
func (t *taker) takeBatch(ctx context.Context, b *batch) error {
	known, met := t.taken[b.Host]
	if b.last() <= known {
		return nil
	}
	if b.After > known && !t.whole {
		return errGap
	}
	if b.After > known && met {
		t.Log.Warn("fleet events missed; NATS deleted them before this host had read them", logkey.Member, b.Host)
	}
	if err := t.toLedger(ctx, b, known); err != nil {
		return err
	}
	t.taken[b.Host] = b.last()
	return nil
}

// toLedger stores what a host published, of which those up to a position are here.
func (t *taker) toLedger(ctx context.Context, b *batch, known int64) error {
	begun := time.Now()
	if err := t.Events.Take(ctx, b.Host, known, b.Records); err != nil {
		return ofLedger(err)
	}
	// The ledger has as much time for this host's own.
	rest := time.NewTimer(time.Since(begun))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
	}
	return nil
}
