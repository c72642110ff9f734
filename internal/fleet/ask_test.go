package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
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
		if err == nil || err.Error() != "NATS does not answer within 10s" || time.Since(begun) != electionTime || times.Load() < 10 {
			t.Errorf("got %v after %d requests in %v", err, times.Load(), time.Since(begun))
		}
		_, err = ask(t.Context(), func(context.Context) (string, error) { return "", jetstream.ErrNoStreamResponse })
		if !errors.Is(err, jetstream.ErrNoStreamResponse) {
			t.Errorf("got %v, want the error of the last request", err)
		}
	})
}

// An operator reads why NATS does not do what it has to, where its own words do not say it.
func TestReasonIsWorded(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{context.DeadlineExceeded, "NATS does not answer within 10s"},
		{jetstream.ErrNoStreamResponse, "too few NATS servers reach each other, or somebody deleted what is stored: nats: no response from stream"},
		{fmt.Errorf("asking: %w", nats.ErrNoResponders), "JetStream is not enabled at the servers, or not ready: asking: nats: no responders available for request"},
		{errSecret, errSecret.Error()},
	} {
		var refused refusals
		if got := refused.reason(test.err); got.Error() != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

// A host takes another server if one does not answer, and not for what any of them would say: all its parts would
// have to begin again.
func TestAnotherServerWouldSayTheSame(t *testing.T) {
	var refused refusals
	if isAnswer(refused.reason(errNoAnswer)) || isAnswer(refused.reason(jetstream.ErrNoStreamResponse)) {
		t.Error("another server might answer")
	}
	refused.hear(fmt.Errorf("%w: Permissions Violation for Publish", nats.ErrPermissionViolation))
	if !isAnswer(refused.reason(errNoAnswer)) {
		t.Error("another server would not permit it either")
	}
}

// A request that a host may not make gets no answer. Which one that was the servers say besides.
func TestReasonIsARefusalForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refusal := errors.New("permissions violation")
		var refused refusals
		refused.hear(refusal)
		if got := refused.reason(errNoAnswer); got != refusal {
			t.Errorf("got %v, want the refusal", got)
		}
		if got := refused.reason(errSecret); got != errSecret {
			t.Errorf("what is an answer: %v", got)
		}
		time.Sleep(2 * electionTime)
		if got := refused.reason(errNoAnswer); got != errNoAnswer {
			t.Errorf("long after a refusal: %v", got)
		}
	})
}
