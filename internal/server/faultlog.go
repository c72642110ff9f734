package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"postern/internal/logkey"
)

// faultInterval is the time in which a fault has a limited number of lines.
const faultInterval = time.Minute

// A faultLog bounds the lines of the log about what fails again and again, such as each message
// while the disk is full: senders decide how often that is. Each message of the log has some
// lines an interval. The first one after that has the number of failures since the last line.
// Below warnings it bounds nothing.
type faultLog struct {
	slog.Handler
	lines  int
	faults *faults // the same with all attributes
}

type faults struct {
	mu     sync.Mutex
	counts map[string]*faultCount // by message, which is constant
}

type faultCount struct {
	since    time.Time // of the interval
	lines    int       // in it
	failures int       // since the last line
}

// newFaultLog returns a log with so many lines an interval for each fault.
func newFaultLog(log *slog.Logger, lines int) *slog.Logger {
	return slog.New(faultLog{log.Handler(), lines, &faults{counts: make(map[string]*faultCount)}})
}

func (f faultLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return f.Handler.Handle(ctx, r)
	}
	failures := f.faults.count(r.Message, f.lines)
	if failures == 0 {
		return nil
	}
	if failures > 1 {
		r = r.Clone()
		r.AddAttrs(slog.Int(logkey.Failures, failures))
	}
	return f.Handler.Handle(ctx, r)
}

// count returns how many failures the next line is about, 0 if there is to be none.
func (f *faults) count(message string, lines int) (failures int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.counts[message]
	if c == nil {
		c = new(faultCount)
		f.counts[message] = c
	}
	c.failures++
	if now := time.Now(); now.Sub(c.since) >= faultInterval {
		c.since, c.lines = now, 0
	}
	if c.lines == lines {
		return 0
	}
	c.lines++
	failures, c.failures = c.failures, 0
	return failures
}

func (f faultLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return faultLog{f.Handler.WithAttrs(attrs), f.lines, f.faults}
}

func (f faultLog) WithGroup(name string) slog.Handler {
	return faultLog{f.Handler.WithGroup(name), f.lines, f.faults}
}
