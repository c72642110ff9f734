package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A failingNATS does not begin to bring messages until a time, and what brings them fails in these ways, one
// after the other.
type failingNATS struct {
	natsInMemory
	until time.Time
	fails []func() (jetstream.Msg, error)
}

func (n *failingNATS) CreateOrUpdateConsumer(ctx context.Context, stream string, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if time.Now().Before(n.until) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	made, err := n.natsInMemory.CreateOrUpdateConsumer(ctx, stream, config)
	if len(n.fails) > 0 {
		made.(*consumerInMemory).messages.fail, n.fails = n.fails[0], n.fails[1:]
	}
	return made, err
}

func TestWatchBeginsSoonAfterALeaderIsElected(t *testing.T) {
	for outage, want := range map[time.Duration]struct {
		err   error
		until time.Duration
	}{
		0:                       {nil, 0},
		2500 * time.Millisecond: {nil, 3 * time.Second},
		9 * time.Second:         {nil, 9 * time.Second},
		time.Hour:               {errNoAnswer, electionTime},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			nats := &failingNATS{natsInMemory: natsInMemory{kv: &connection{bucket: newBucketInMemory()}, ctx: t.Context()}, until: begun.Add(outage)}
			_, _, err := openBucket(t.Context(), nats, jetstream.KeyValueConfig{Bucket: "postern-pins"})
			if took := time.Since(begun); !errors.Is(err, want.err) || took != want.until {
				t.Errorf("after an outage of %v: %v in %v, want %v in %v", outage, err, took, want.err, want.until)
			}
		})
	}
}

// When NATS loses what brings the values, or one of them, the watch goes on after the last one, and brings
// each once.
func TestWatchOutlivesWhatBringsIt(t *testing.T) {
	lost := func() (jetstream.Msg, error) {
		time.Sleep(2 * heartbeat)
		return nil, jetstream.ErrNoHeartbeat
	}
	skips := func() (jetstream.Msg, error) {
		time.Sleep(2 * heartbeat)
		return &messageInMemory{entry: &entryInMemory{revision: 9}, number: 3}, nil
	}
	for name, test := range map[string]struct {
		fails []func() (jetstream.Msg, error)
		want  []string
	}{
		"it is lost":        {fails: []func() (jetstream.Msg, error){lost, lost}, want: []string{"a", "b", "c", "complete"}},
		"a message is lost": {fails: []func() (jetstream.Msg, error){skips}, want: []string{"a", "b", "c", "complete"}},
		"it ends at once": {
			fails: []func() (jetstream.Msg, error){func() (jetstream.Msg, error) { return nil, errAway }},
			want:  []string{"a", errAway.Error()},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bucket := newBucketInMemory()
				for _, key := range []string{"a", "b", "c"} {
					if _, err := bucket.change(key, nil, false, always); err != nil {
						t.Fatal(err)
					}
				}
				nats := &failingNATS{natsInMemory: natsInMemory{kv: &connection{bucket: bucket}, ctx: t.Context()}, fails: test.fails}
				_, watch, err := openBucket(t.Context(), nats, jetstream.KeyValueConfig{Bucket: "postern-pins"})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for range test.want {
					switch it, ok := <-watch.items; {
					case !ok:
						got = append(got, fmt.Sprint(watch.err))
					case it == nil:
						got = append(got, "complete")
					default:
						got = append(got, it.key)
					}
				}
				if !slices.Equal(got, test.want) {
					t.Errorf("the watch brings %q, want %q", got, test.want)
				}
			})
		})
	}
}

// Waiting for a message may end during an election. That alone is no failure.
func TestReaderWaitsOutAnElection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bucket := newBucketInMemory()
		for _, key := range []string{"a", "b"} {
			if _, err := bucket.change(key, nil, false, always); err != nil {
				t.Fatal(err)
			}
		}
		nats := &failingNATS{natsInMemory: natsInMemory{kv: &connection{bucket: bucket}, ctx: t.Context()}}
		nats.fails = append(nats.fails, func() (jetstream.Msg, error) {
			time.Sleep(2 * heartbeat)
			nats.until = time.Now().Add(9 * time.Second)
			return nil, jetstream.ErrNoHeartbeat
		})
		r := &reader{js: nats, stream: "KV_postern-pins", next: firstMessage, most: maxWatched}
		for _, want := range []string{"$KV.postern-pins.a", "$KV.postern-pins.b"} {
			within, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			msg, _, err := r.read(t.Context(), within)
			cancel()
			if err != nil || msg.Subject() != want {
				t.Fatalf("got %v, %v, want %s", msg, err, want)
			}
		}
	})
}
