package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// patience is how long NATS may take to answer.
	patience = 5 * time.Second

	// askAgain is how long after a small request the same one is sent once more. One to a leader that NATS
	// has lost is never answered, and the next leader does not know of it.
	askAgain = time.Second
)

// errNoAnswer is what the log says of a request that nothing answers.
var errNoAnswer = fmt.Errorf("NATS does not answer within %v", patience)

// ask returns the first answer to a request, which it repeats while there is none. The request can be one
// that changes something only if it may be done twice.
func ask[T any](ctx context.Context, request func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, patience/askAgain+1)
	again := time.NewTicker(askAgain)
	defer again.Stop()
	failure := errNoAnswer
	for send := true; ; {
		if send {
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
	for _, answer := range []error{jetstream.ErrBucketNotFound, jetstream.ErrKeyNotFound, errSecret, errNewer} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}
