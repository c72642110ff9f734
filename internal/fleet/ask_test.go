package fleet

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A server that NATS has lost never answers. The one that takes its place within a moment does, also if its
// line is slow.
func TestRequestOutlivesALeader(t *testing.T) {
	for name, lost := range map[string]func(context.Context) error{
		"it does not answer":       func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"no server has the stream": func(context.Context) error { return jetstream.ErrNoStreamResponse },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const outage, line = 2500 * time.Millisecond, 1200 * time.Millisecond
				begun := time.Now()
				got, err := ask(t.Context(), func(ctx context.Context) (string, error) {
					if time.Since(begun) < outage {
						return "", lost(ctx)
					}
					select {
					case <-time.After(line):
						return "stored", nil
					case <-ctx.Done():
						return "", ctx.Err()
					}
				})
				if took := time.Since(begun); got != "stored" || err != nil || took > outage+line+askAgain {
					t.Errorf("got %q, %v after %v", got, err, took)
				}
			})
		})
	}
}

func TestRequestEndsWithTheFirstAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, want := range []error{nil, jetstream.ErrKeyNotFound, jetstream.ErrStreamNotFound} {
			times := 0
			_, err := ask(t.Context(), func(context.Context) (string, error) { times++; return "", want })
			if !errors.Is(err, want) || times != 1 {
				t.Errorf("got %v after %d requests, want %v after one", err, times, want)
			}
		}
	})
}

// What is logged of a request without an answer says why.
func TestRequestWithoutAnswerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, times := time.Now(), atomic.Int64{}
		_, err := ask(t.Context(), func(ctx context.Context) (string, error) {
			times.Add(1)
			<-ctx.Done()
			return "", ctx.Err()
		})
		if err == nil || err.Error() != "NATS does not answer within 5s" || time.Since(begun) != patience || times.Load() < 5 {
			t.Errorf("got %v after %d requests in %v", err, times.Load(), time.Since(begun))
		}
		_, err = ask(t.Context(), func(context.Context) (string, error) { return "", jetstream.ErrNoStreamResponse })
		if !errors.Is(err, jetstream.ErrNoStreamResponse) {
			t.Errorf("got %v, want the error of the last request", err)
		}
	})
}
