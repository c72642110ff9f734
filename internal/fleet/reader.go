package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// heartbeat is how often NATS says that it has nothing new. After two that did not come, what brought messages
// is taken for lost. That is sooner than NATS elects a leader, so hosts do not wait any longer than it does.
const heartbeat = 2 * time.Second

// A reader reads a stream in order. When NATS loses what brings the messages, or one of them, it goes on
// after the last one: the library's readers wait longer, and ask for the next one once in ten seconds.
type reader struct {
	js     jetstream.JetStream
	stream string
	next   uint64 // sequence number of the next message, or an earlier one
	most   int    // messages that wait here

	consumer jetstream.Consumer        // nil: none has been asked for
	messages jetstream.MessagesContext // nil: as consumer, or it is lost
	begun    time.Time                 // when it was asked for
	brought  uint64                    // messages by consumer
}

// begin makes NATS bring messages, from next on.
func (r *reader) begin(ctx context.Context) (err error) {
	config := jetstream.ConsumerConfig{
		Name: rand.Text(), AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.next,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
	}
	r.consumer, err = ask(ctx, func(ctx context.Context) (jetstream.Consumer, error) {
		return r.js.CreateOrUpdateConsumer(ctx, r.stream, config)
	})
	if err != nil {
		return err
	}
	r.begun, r.brought = time.Now(), 0
	r.messages, err = r.consumer.Messages(jetstream.PullMaxMessages(r.most), jetstream.PullHeartbeat(heartbeat))
	return err
}

// read returns the next message, for which it waits until within ends, which does so with ctx or earlier. It is
// the last one for now if its NumPending is 0.
func (r *reader) read(ctx, within context.Context) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	for {
		if r.messages == nil {
			if err := r.begin(ctx); err != nil {
				return nil, nil, err
			}
		}
		msg, err := r.messages.Next(jetstream.NextContext(within))
		if err != nil && within.Err() != nil {
			return nil, nil, within.Err()
		}
		var at *jetstream.MsgMetadata
		if err == nil {
			at, err = msg.Metadata()
		}
		r.brought++
		if err == nil && at.Sequence.Consumer == r.brought {
			r.next = at.Sequence.Stream + 1
			return msg, at, nil
		}
		if r.stop(); time.Since(r.begun) < heartbeat { // the next one may fail as soon
			return nil, nil, cmp.Or(err, errors.New("NATS does not bring the messages in order"))
		}
	}
}

// stop stops reading, until the next message is asked for.
func (r *reader) stop() {
	if r.messages != nil {
		r.messages.Stop()
		r.messages = nil
	}
}
