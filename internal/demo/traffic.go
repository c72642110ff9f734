package demo

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"postern/internal/persona"
)

const (
	// pace is how much faster senders deliver than in the history.
	pace = 200

	// firstTime is when the senders have delivered once.
	firstTime = 5 * time.Second

	// retryTime is how often a sender tries again that fails.
	retryTime = 40 * time.Second

	// newcomerAfter is when a further host of outlook.com connects for the first time.
	newcomerAfter = 30 * time.Second
)

// traffic lets senders deliver to a Postern with an expired certificate until ctx is done.
func (w *world) traffic(ctx context.Context, p *postern) {
	var working sync.WaitGroup
	defer working.Wait()
	working.Go(func() { w.newcomer(ctx, p) })
	for _, s := range w.senders {
		if s.every == 0 {
			continue
		}
		working.Go(func() {
			every := s.every / pace
			if s.in(bank) {
				every = retryTime
			}
			for pause := rand.N(firstTime); wait(ctx, pause); pause = every/2 + rand.N(every) {
				w.deliverOnce(ctx, p, s)
			}
		})
	}
}

// deliverOnce lets a sender deliver as what it is now. A program that fails is tried again later.
func (w *world) deliverOnce(ctx context.Context, p *postern, s *sender) {
	as := s.was
	if s.is != nil {
		as = s.is
	}
	if s.program != "" {
		_ = w.run(ctx, p, s)
		return
	}
	w.deliver(ctx, p, s, as, recipient, nil)
}

// newcomer is a host of outlook.com that Postern does not know: it fails, falls back and
// delivers while somebody looks at the page.
func (w *world) newcomer(ctx context.Context, p *postern) {
	s := &sender{host: "LO2P265-obe.outbound.protection.outlook.com", addr: ip("198.18.5.10")}
	strict := play("early-ticket")
	var last *persona.Result
	for pause := newcomerAfter; wait(ctx, pause); pause = retryTime {
		last = w.deliver(ctx, p, s, strict, recipient, last)
	}
}

// wait reports whether a time has passed before ctx is done.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
