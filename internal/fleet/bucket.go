package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// openBucket opens a key-value bucket, made if there is none, and watches all of it until ctx ends. Of a name
// only the last value is kept.
func openBucket(ctx context.Context, js jetstream.JetStream, config jetstream.KeyValueConfig) (jetstream.KeyValue, *watch, error) {
	config.History = 1
	kv, err := bucket(ctx, js, config)
	if err != nil {
		return nil, nil, err
	}
	r := &reader{js: js, stream: "KV_" + config.Bucket, next: firstMessage, most: maxWatched}
	if err := r.begin(ctx); err != nil {
		return nil, nil, err
	}
	w := &watch{items: make(chan *item, maxFetched), prefix: "$KV." + config.Bucket + "."}
	go w.run(ctx, r)
	return kv, w, nil
}

// maxWatched bounds the values that wait to be taken: 16 MiB if all are of the largest size.
const maxWatched = 256

// A watch brings what is stored in a bucket, then nil, and then what changes.
type watch struct {
	items chan *item // closed when the watch has failed, not when its context has ended
	err   error      // why it has

	prefix string // of the subjects of keys
}

// An item is a value of a bucket, or that there is none any more.
type item struct {
	key      string
	value    []byte
	removed  bool
	revision uint64
	created  time.Time // by the clock of NATS
}

// run watches until ctx ends.
func (w *watch) run(ctx context.Context, r *reader) {
	defer r.stop()
	left, complete := int(r.consumer.CachedInfo().NumPending), false // of what is stored
	for {
		if left == 0 && !complete {
			complete = true
			w.bring(ctx, nil)
		}
		msg, at, err := r.read(ctx, ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.err = err
			close(w.items)
			return
		}
		w.bring(ctx, &item{
			key: strings.TrimPrefix(msg.Subject(), w.prefix), value: msg.Data(), removed: msg.Headers().Get("KV-Operation") != "",
			revision: at.Sequence.Stream, created: at.Timestamp,
		})
		left = min(left-1, int(at.NumPending))
	}
}

func (w *watch) bring(ctx context.Context, it *item) {
	select {
	case w.items <- it:
	case <-ctx.Done():
	}
}

// bucket opens a key-value bucket and makes it if there is none.
func bucket(ctx context.Context, js jetstream.JetStream, config jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := ask(ctx, func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, config.Bucket) })
	if !errors.Is(err, jetstream.ErrBucketNotFound) {
		return kv, err
	}
	ctx, cancel := context.WithTimeout(ctx, electionTime)
	defer cancel()
	err = replicated(func(replicas int) error {
		config.Replicas = replicas
		kv, err = js.CreateKeyValue(ctx, config)
		return err
	})
	if errors.Is(err, jetstream.ErrBucketExists) { // another host was first
		return js.KeyValue(ctx, config.Bucket)
	}
	return kv, err
}

// replicated makes something on three servers, or on one where there is no cluster.
func replicated(create func(replicas int) error) error {
	err := create(3)
	if api := (*jetstream.APIError)(nil); errors.As(err, &api) && api.ErrorCode == notClustered {
		err = create(1)
	}
	return err
}

// notClustered is the error of a server alone when it is asked for replicas
// (JSStreamReplicasNotSupportedErr).
const notClustered = 10074

// get reads a stored value.
func get(ctx context.Context, kv jetstream.KeyValue, name string) (jetstream.KeyValueEntry, error) {
	return ask(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return kv.Get(ctx, name) })
}

// A watchLag notices that a watch no longer brings what is stored.
type watchLag struct{ seen, last uint64 } // at the check before

// check returns an error if a watch has brought nothing since the check before, though there was something
// to bring. It has brought the changes up to seen.
func (l *watchLag) check(ctx context.Context, kv jetstream.KeyValue, seen uint64) error {
	last, err := lastRevision(ctx, kv)
	if err != nil {
		return err
	}
	return l.note(seen, last)
}

func (l *watchLag) note(seen, last uint64) error {
	before := *l
	*l = watchLag{seen, last}
	switch {
	case 0 < last && last < seen:
		return errors.New("NATS has lost what it had, or has another bucket")
	case seen == before.seen && seen < before.last:
		return fmt.Errorf("the watch is %d changes behind", last-seen)
	}
	return nil
}

// lastRevision returns that of the last change.
func lastRevision(ctx context.Context, kv jetstream.KeyValue) (uint64, error) {
	status, err := ask(ctx, kv.Status)
	if err != nil {
		return 0, err
	}
	of, ok := status.(*jetstream.KeyValueBucketStatus)
	if !ok {
		return 0, nil
	}
	return of.StreamInfo().State.LastSeq, nil
}

// store seals a value and stores it.
func (f *Fleet) store(ctx context.Context, kv jetstream.KeyValue, name string, value []byte) error {
	sealed := f.sealer.seal(name, value)
	_, err := ask(ctx, func(ctx context.Context) (uint64, error) { return kv.Put(ctx, name, sealed) })
	return err
}

// decode opens a stored value, which is JSON.
func (f *Fleet) decode(it *item, to any) error {
	value, err := f.sealer.open(it.key, it.value)
	if err != nil {
		return err
	}
	return json.Unmarshal(value, to)
}

// lostRace returns nil if another host stored its value first, and else err. The code of that depends on
// the number of replicas.
func lostRace(err error) error {
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil
	}
	api := (*jetstream.APIError)(nil)
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return nil
	}
	return err
}
