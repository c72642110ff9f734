// Package testpeer starts the real mail programs that tests, benchmarks and the lab
// talk to, on loopback: clients that send (OpenSSL, GnuTLS, swaks, Postfix, Exim),
// servers that take mail (Postfix, Dovecot, smtp-sink, nginx as a mail proxy), and
// such as only show their TLS (mox, maddy, chasquid, Exim, OpenSMTPD).
//
//	sent := testpeer.SendOpenSSL(t, addr, testpeer.OpenSSLOptions{})
//	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{XCLIENT: true})
//
// A Send function runs a client to its end and says what happened; what a client
// was refused is a result, not a failure of the test. A Start function returns
// when the server answers, and ends it with the test. Everything a program
// writes lies in a private folder that goes with the test; when the test
// fails, its logs are shown.
//
// A program that is not installed fails the test under CI=true and skips it
// otherwise. scripts/install-peers installs all of them but mox and maddy, which
// scripts/build-peers builds.
//
// # Limits
//
// Postfix and OpenSMTPD start only as root; the others run as any user. Dovecot is
// configured in the language of its versions 2.3.
//
// # Concurrency
//
// The functions may be called from tests that run in parallel, each with its
// own T and on the goroutine of that test.
package testpeer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// T is the part of [testing.TB] that this package needs, so that a program that
// is not a test can give its own. Fatalf must not return. A T may also have the
// methods Failed and Skipf of testing.TB: without them no log is shown at the
// end, and a missing program is fatal. With the method Context nothing is waited for
// once that has ended. [Run] has one for programs.
type T interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	TempDir() string
}

// A Scope is a [T] for what is no test, such as a benchmark or a command: what is
// started on it ends with [Run]. It is for one goroutine.
type Scope struct {
	log      io.Writer
	ctx      context.Context
	find     func(program string) (path string, err error)
	cleanups []func()
	broken   bool
}

// failure is what Fatalf throws.
type failure string

// Run runs a part on a stage of its own and ends all that it started. Once ctx has
// ended, nothing more is waited for. Find, if it is not nil, says where programs are, by
// names such as "nginx" or "mox-v0.0.12". What peers have to say goes to log, their own
// logs when the part fails.
//
// The error is what part returned, or why a peer would not play.
func Run(ctx context.Context, log io.Writer, find func(program string) (path string, err error), part func(*Scope) error) (err error) {
	s := &Scope{log: log, ctx: ctx, find: find}
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

func (s *Scope) clear() {
	for _, cleanup := range slices.Backward(s.cleanups) {
		cleanup()
	}
}

// Helper does nothing: an error here names its place itself.
func (s *Scope) Helper() {}

// Cleanup has f called when the part has ended, the last first.
func (s *Scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Logf writes a line to the log.
func (s *Scope) Logf(format string, args ...any) { fmt.Fprintf(s.log, format+"\n", args...) }

// Fatalf ends the part.
func (s *Scope) Fatalf(format string, args ...any) { panic(failure(fmt.Sprintf(format, args...))) }

// Failed reports that the part has failed, which makes peers show their logs.
func (s *Scope) Failed() bool { return s.broken }

// Context ends when nothing more is to be waited for.
func (s *Scope) Context() context.Context { return s.ctx }

// TempDir makes a folder that goes with the part.
func (s *Scope) TempDir() string {
	dir, err := os.MkdirTemp("", "stage")
	if err != nil {
		s.Fatalf("testpeer: %v", err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
