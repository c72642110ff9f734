package fleet

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A deafBucket does not begin to bring what is stored for a while: NATS has lost who would do that.
type deafBucket struct {
	jetstream.JetStream
	*connection
	until time.Time
}

func (b *deafBucket) KeyValue(context.Context, string) (jetstream.KeyValue, error) { return b, nil }

func (b *deafBucket) WatchAll(ctx context.Context, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	if time.Now().Before(b.until) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return b.connection.WatchAll(ctx, opts...)
}

func TestWatchBeginsSoonAfterALeaderIsElected(t *testing.T) {
	for outage, want := range map[time.Duration]struct {
		err   error
		until time.Duration
	}{
		0:               {nil, 0},
		2 * time.Second: {nil, 3 * time.Second},
		time.Hour:       {errNoAnswer, 7 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			b := &deafBucket{connection: &connection{bucket: newBucketInMemory()}, until: begun.Add(outage)}
			_, _, err := openBucket(t.Context(), b, jetstream.KeyValueConfig{Bucket: "postern-pins"})
			if took := time.Since(begun); !errors.Is(err, want.err) || took != want.until {
				t.Errorf("after an outage of %v: %v in %v, want %v in %v", outage, err, took, want.err, want.until)
			}
		})
	}
}
