package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// patience is how long NATS may take to answer if it has a leader.
	patience = 5 * time.Second

	// electionTime is how long it may take if it has to elect one, which takes it 4 to 9 seconds.
	electionTime = 10 * time.Second

	// askAgain is how long after a small request the same one is sent once more. One to a leader that NATS
	// has lost is never answered, and the next leader does not know of it.
	askAgain = time.Second
)

// errNoAnswer is what the log says of a request that nothing answers.
var errNoAnswer = fmt.Errorf("NATS does not answer within %v", electionTime)

// ask returns the first answer to a small request, which it repeats while there is none. The request can be
// one that changes something only if it may be done twice.
func ask[T any](ctx context.Context, request func(context.Context) (T, error)) (T, error) {
	return askPatiently(ctx, askAgain, request)
}

// askPatiently is ask for a request that may be large: it waits longer for an answer until it repeats it.
func askPatiently[T any](ctx context.Context, wait time.Duration, request func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, electionTime)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, electionTime/askAgain+1)
	again := time.NewTimer(wait)
	defer again.Stop()
	failure := errNoAnswer
	for send := true; ; {
		if send {
			again.Reset(wait)
			go func() {
				value, err := request(ctx)
				answers <- answer{value, err}
			}()
		}
		select {
		case a := <-answers:
			if a.err == nil || isAnswer(a.err) {
				return a.value, a.err
			}
			if send = false; ctx.Err() == nil {
				failure = a.err
				again.Reset(askAgain)
			}
		case <-again.C:
			send = true
		case <-ctx.Done():
			return *new(T), failure
		}
	}
}

// isAnswer reports whether another server would say the same.
func isAnswer(err error) bool {
	api := jetstream.JetStreamError(nil)
	if errors.As(err, &api) && api.APIError() != nil {
		return api.APIError().Code < 500
	}
	for _, answer := range []error{jetstream.ErrBucketNotFound, jetstream.ErrKeyNotFound, nats.ErrPermissionViolation, errSecret, errNewer} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}
