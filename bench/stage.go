package main

import (
	"fmt"
	"os"
	"slices"
	"time"
)

// stage is where the peers of one section play. It is a testpeer.T: what is
// started on it ends with the section.
type stage struct {
	cleanups []func()
	broken   bool
}

// failure is what Fatalf throws.
type failure string

// play runs a section on a stage of its own and ends all that it started.
// An error, returned or thrown by a peer, is the section's.
func play(section func(*stage) error) (err error) {
	s := new(stage)
	defer s.clear()
	defer func() {
		if thrown := recover(); thrown != nil {
			text, ours := thrown.(failure)
			if !ours {
				panic(thrown)
			}
			err = fmt.Errorf("%s", string(text))
		}
		s.broken = err != nil
	}()
	return section(s)
}

func (s *stage) clear() {
	for _, cleanup := range slices.Backward(s.cleanups) {
		cleanup()
	}
}

func (s *stage) Helper() {}

func (s *stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

func (s *stage) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (s *stage) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// Failed makes peers show their logs when the section has failed.
func (s *stage) Failed() bool { return s.broken }

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		s.Fatalf("%v", err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// await polls until ready returns nil, and gives its last error when the time is up.
func await(ready func() error) error {
	const limit, pause = 60 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		err := ready()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
