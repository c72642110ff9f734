package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrUnknownHost means that NATS knows no host of that name, or that it is forgotten.
var ErrUnknownHost = errors.New("no host of the fleet has that name")

// Forget makes all hosts forget one that was taken out: it is not missing any more. A host that still runs
// is there again when it next says so. Once connected, it takes up to half a minute.
func Forget(ctx context.Context, a Access, name string) error {
	sealer, err := newSealer(a.Secret, a.Prefix)
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	var refused refusals
	conn, err := nats.Connect("", append(a.options(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused.hear(err) }))...)
	if err != nil {
		return a.explain(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil { // it has no options that could be wrong
		panic(err)
	}
	if err := a.forget(ctx, js, sealer, name); err != nil {
		return refused.reason(err)
	}
	return nil
}

func (a Access) forget(ctx context.Context, js jetstream.JetStream, sealer *sealer, name string) error {
	kv, err := ask(ctx, func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, hostBucket(a.Prefix)) })
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return ErrUnknownHost
	}
	if err != nil {
		return err
	}
	key := hostKey(name)
	stored, err := get(ctx, kv, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return ErrUnknownHost
	}
	if err != nil {
		return err
	}
	// To an older version it has stopped.
	gone := entry{Host: Host{Name: name, Stopped: true, Said: time.Now()}, Forgotten: true}
	if value, err := sealer.open(key, stored.Value()); err == nil {
		var known entry
		if json.Unmarshal(value, &known) == nil && known.Forgotten {
			return ErrUnknownHost
		}
	}
	value, err := json.Marshal(gone)
	if err != nil {
		return err
	}
	_, err = ask(ctx, func(ctx context.Context) (uint64, error) { return kv.Put(ctx, key, sealer.seal(key, value)) })
	return err
}
