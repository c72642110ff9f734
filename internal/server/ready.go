package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"postern/internal/nexthop"
	"postern/internal/nexthop/maildir"
	"postern/internal/nexthop/relay"
)

const (
	// readyTime is how long the next hop may take to answer a readiness check: less than the
	// ten seconds after which most of those who ask give up.
	readyTime = 5 * time.Second

	// readyAge is how long the answer counts: whoever asks more often costs the next hop
	// nothing.
	readyAge = 10 * time.Second
)

var (
	errDraining = errors.New("draining sessions")
	errNextHop  = errors.New("the next hop takes no mail") // without details, since anybody may ask
)

// A readiness knows whether the server takes mail.
type readiness struct {
	draining func() bool
	nextHop  func(context.Context) error

	mu  sync.Mutex // held while the next hop is asked
	at  time.Time  // of its last answer
	err error
}

// nextHopCheck returns what asks a next hop whether it would take a message.
func nextHopCheck(hop nexthop.Hop) func(context.Context) error {
	switch hop := hop.(type) {
	case *relay.Hop:
		return hop.Probe
	case *maildir.Maildir:
		return func(context.Context) error { return hop.Check() }
	}
	return func(context.Context) error { return nil }
}

// check returns why the server takes no mail, or nil.
func (r *readiness) check() error {
	if r.draining() {
		return errDraining
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() || time.Since(r.at) >= readyAge {
		// Not with the context of the request: the answer is for the next ones too.
		ctx, cancel := context.WithTimeout(context.Background(), readyTime)
		defer cancel()
		if r.err = r.nextHop(ctx); r.err != nil {
			r.err = errNextHop
		}
		r.at = time.Now()
	}
	return r.err
}
