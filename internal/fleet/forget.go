package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrUnknownHost means that NATS knows no host of that name, or that it is forgotten.
var ErrUnknownHost = errors.New("no host of the fleet has that name")

// Forget makes all hosts forget one that was taken out: it is not missing any more. A host that still runs
// is there again when it next says so. It uses the access to NATS, the prefix and the secret of s, and
// takes up to half a minute.
func Forget(ctx context.Context, s Settings, name string) error {
	sealer, err := newSealer(s.Secret, s.Prefix)
	if err != nil {
		return fmt.Errorf("fleet: %w", err)
	}
	conn, err := nats.Connect("", s.access()...)
	if err != nil {
		return s.explain(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil { // it has no options that could be wrong
		panic(err)
	}
	kv, err := ask(ctx, func(ctx context.Context) (jetstream.KeyValue, error) { return js.KeyValue(ctx, hostBucket(s.Prefix)) })
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
	gone := entry{Host: Host{Name: name, Stopped: true, Said: s.Now()}, Forgotten: true}
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
