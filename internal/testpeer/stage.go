package testpeer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// A Stage is a [T] for what is no test, such as a benchmark or a command: what is
// started on it ends with [Play]. It is for one goroutine.
type Stage struct {
	log      io.Writer
	ctx      context.Context
	find     func(program string) (path string, err error)
	cleanups []func()
	broken   bool
}

// failure is what Fatalf throws.
type failure string

// Play runs a part on a stage of its own and ends all that it started. Once ctx has
// ended, nothing more is waited for. Find, if it is not nil, says where programs are, by
// names such as "nginx" or "mox-v0.0.12". What peers have to say goes to log, their own
// logs when the part fails.
//
// The error is what part returned, or why a peer would not play.
func Play(ctx context.Context, log io.Writer, find func(program string) (path string, err error), part func(*Stage) error) (err error) {
	s := &Stage{log: log, ctx: ctx, find: find}
	defer s.clear()
	defer func() {
		if thrown := recover(); thrown != nil {
			text, ours := thrown.(failure)
			if !ours {
				panic(thrown)
			}
			err = errors.New(string(text))
		}
		s.broken = err != nil
	}()
	return part(s)
}

func (s *Stage) clear() {
	for _, cleanup := range slices.Backward(s.cleanups) {
		cleanup()
	}
}

// Helper does nothing: an error here names its place itself.
func (s *Stage) Helper() {}

// Cleanup has f called when the part has ended, the last first.
func (s *Stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Logf writes a line to the log.
func (s *Stage) Logf(format string, args ...any) { fmt.Fprintf(s.log, format+"\n", args...) }

// Fatalf ends the part.
func (s *Stage) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// Failed reports that the part has failed, which makes peers show their logs.
func (s *Stage) Failed() bool { return s.broken }

// Context ends when nothing more is to be waited for.
func (s *Stage) Context() context.Context { return s.ctx }

// TempDir makes a folder that goes with the part.
func (s *Stage) TempDir() string {
	dir, err := os.MkdirTemp("", "stage")
	if err != nil {
		s.Fatalf("testpeer: %v", err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
