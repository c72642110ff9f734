package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"postern/internal/ledger"
	"postern/internal/logkey"
)

const (
	// publishInterval is how long events wait for others, to be published with them.
	publishInterval = time.Second

	// maxRecords and batchSize bound what is published together, before compression.
	maxRecords = 1000
	batchSize  = 512 << 10

	// publishRate is how many bytes a host publishes in a second at most, some thousand
	// handshakes, so that a flood of them neither fills the network nor displaces at once what
	// others published.
	publishRate = 256 << 10

	// keepPublished is how long what was published is kept at least. NATS syncs what it stores to
	// disk every two minutes, and loses the rest with the power.
	keepPublished = 150 * time.Second

	// maxSealed leaves room for the headers of a message. A report that is larger when it is
	// compressed stays with its host.
	maxSealed = maxMessage - 1<<10
)

// A publisher publishes what this host stored.
type publisher struct {
	*Fleet
	js       jetstream.JetStream
	stream   jetstream.Stream
	subject  string
	sequence uint64    // of this host's last message
	last     int64     // position of the last event that was published
	read     int64     // position up to which events were read
	keep     int64     // position up to which they can be forgotten when kept has passed
	kept     time.Time // on the monotonic clock
	checked  time.Time // when the last message was last seen in the stream; on the monotonic clock
}

// publishEvents publishes what this host stored until ctx ends, or returns when again is closed.
func (f *Fleet) publishEvents(ctx context.Context, js jetstream.JetStream, again <-chan struct{}) error {
	stream, err := f.openEvents(ctx, js)
	if err != nil {
		return err
	}
	p := &publisher{Fleet: f, js: js, stream: stream, subject: f.eventSubject(f.Name)}
	if err := p.resume(ctx); err != nil {
		return err
	}
	for {
		wait, err := p.publish(ctx)
		if err != nil {
			return err
		}
		f.note(partPublishing, nil)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			return nil
		case <-again:
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// resume finds the position after the last message of this host. The stream knows it better than
// this host does: NATS may have lost what was published last.
func (p *publisher) resume(ctx context.Context) (err error) {
	p.sequence, p.last, err = p.published(ctx, p.subject)
	if err == nil && p.sequence == 0 {
		p.last, err = p.publishedBefore(ctx)
	}
	if err != nil {
		return err
	}
	if err := p.Events.Follow(ctx, p.last); err != nil {
		return ofLedger(err)
	}
	p.read = p.last
	p.keep, p.kept = p.last, time.Now()
	p.checked = p.kept
	return nil
}

// published returns the sequence number of the last message under a subject, and the position after it; 0
// if there is none, or it was too old.
func (p *publisher) published(ctx context.Context, subject string) (sequence uint64, position int64, err error) {
	last, err := p.lastMessage(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	b, err := p.openBatch(subject, last.Data)
	switch {
	case errors.Is(err, errNewer):
		return 0, 0, fmt.Errorf("what this host published %w", err)
	case err != nil: // it is another's
		return last.Sequence, 0, nil
	}
	return last.Sequence, b.last(), nil
}

// publishedBefore returns the position up to which this host published under its former name.
func (p *publisher) publishedBefore(ctx context.Context) (position int64, err error) {
	name, err := p.Events.Former(ctx)
	if err != nil {
		return 0, ofLedger(err)
	}
	if name == "" {
		return 0, nil
	}
	_, position, err = p.published(ctx, p.eventSubject(name))
	return position, err
}

// check notices that NATS has lost what this host published, of which a host that has nothing new to
// publish would not hear. It forgets what NATS still has after a while.
func (p *publisher) check(ctx context.Context) error {
	if time.Since(p.checked) < checkInterval {
		return nil
	}
	p.checked = time.Now()
	last, err := p.lastMessage(ctx, p.subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound) && p.sequence == 0: // there was none
		return nil
	case errors.Is(err, jetstream.ErrMsgNotFound), err == nil && last.Sequence != p.sequence:
		return p.resume(ctx)
	case err != nil:
		return err
	}
	return p.forget(ctx)
}

// lastMessage returns the last message under a subject.
func (p *publisher) lastMessage(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	return ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return p.stream.GetLastMsgForSubject(ctx, subject)
	})
}

// publish publishes a batch of what is new, and returns how long to wait until the next one.
func (p *publisher) publish(ctx context.Context) (wait time.Duration, err error) {
	now := p.Now()
	records, err := p.Events.Own(ctx, p.read, maxRecords)
	if err != nil {
		return 0, ofLedger(err)
	}
	if len(records) == 0 {
		if err := p.check(ctx); err != nil {
			return 0, err
		}
	}
	some := portion(records)
	if len(some) > 0 {
		last := some[len(some)-1].ID
		p.read = last
		size, err := p.send(ctx, some)
		if err != nil {
			return 0, err
		}
		if p.read != last { // it has to be sent again
			return publishInterval, nil
		}
		wait = time.Duration(size) * time.Second / publishRate
	}
	if len(some) == len(records) && len(records) < maxRecords {
		p.hasPublishedAll(now)
		wait = max(wait, publishInterval)
	}
	return wait, nil
}

// portion returns the first records, as many as a message has room for.
func portion(records []ledger.Record) []ledger.Record {
	size := 0
	for i, r := range records {
		if size += len(r.Data); size > batchSize && i > 0 {
			return records[:i]
		}
	}
	return records
}

// send publishes records, and returns the size of the message.
func (p *publisher) send(ctx context.Context, records []ledger.Record) (size int, err error) {
	b := &batch{Host: p.Name, After: p.last, Records: records}
	sealed, err := p.sealBatch(b)
	if err != nil {
		return 0, err
	}
	if len(sealed) > maxSealed {
		p.Log.Debug("not sharing a large event", logkey.Bytes, len(sealed))
		return 0, nil
	}
	ack, err := askPatiently(ctx, patience, func(ctx context.Context) (*jetstream.PubAck, error) {
		return p.js.Publish(ctx, p.subject, sealed, jetstream.WithExpectLastSequencePerSubject(p.sequence))
	})
	if err != nil {
		if lostRace(err) == nil { // NATS has lost the last message, or deleted it for its age, or stored this one without an answer
			err = p.resume(ctx)
		}
		return 0, err
	}
	p.sequence, p.last = ack.Sequence, b.last()
	return len(sealed), p.forget(ctx)
}

// forget lets this host forget what was published a while ago.
func (p *publisher) forget(ctx context.Context) error {
	if time.Since(p.kept) < keepPublished {
		return nil
	}
	last := p.keep
	p.keep, p.kept = p.last, time.Now()
	return ofLedger(p.Events.Published(ctx, last))
}
