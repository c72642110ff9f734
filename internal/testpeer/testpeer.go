// Package testpeer starts the real mail programs that tests, benchmarks and postern-lab use,
// on loopback: clients that send (OpenSSL, GnuTLS, swaks, Postfix, Exim), servers that accept
// mail (Postfix, Dovecot, smtp-sink, nginx as a mail proxy), and servers that only show their
// TLS (mox, maddy, chasquid, Exim, OpenSMTPD).
//
//	sent := testpeer.SendOpenSSL(t, addr, testpeer.OpenSSLOptions{})
//	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{XCLIENT: true})
//
// A Send function runs a client to its end and returns what happened; a refused message is
// a result, not a failed test. A Start function returns when the server answers; the server
// ends with the test. Everything that a program writes is in a private folder that is removed
// with the test. If the test fails, the programs' logs are printed.
//
// A program that is not installed fails the test under CI=true and skips it otherwise.
// scripts/install-peers installs all of them except mox and maddy, which scripts/build-peers
// builds.
//
// # Limits
//
// Postfix and OpenSMTPD start only as root; the others run as any user. Dovecot's
// configuration is in the syntax of versions 2.3.
//
// # Concurrency
//
// The functions may be called from parallel tests, each with its own T and on the goroutine of
// that test.
package testpeer

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
)

// T is the part of [testing.TB] that this package needs, so that other programs than tests can
// implement it, as [Scope] does. Fatalf must not return. T may also have the methods Failed and
// Skipf of testing.TB: without them no log is printed at the end, and a missing program is
// fatal. If T has the method Context, nothing waits after that context has ended.
type T interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	TempDir() string
}

// A Scope is a [T] for programs other than tests: what is started in it ends with [Run].
// Only the goroutine of the function that Run calls may use it.
type Scope struct {
	ctx      context.Context
	log      io.Writer
	find     func(program string) (path string, err error)
	cleanups []func()
	err      error // of Fatalf
}

// Run calls f with a new scope and ends everything that f started in it. After ctx has ended,
// nothing waits any more. If find is not nil, it returns the paths of programs, by names such
// as "nginx" or "mox-v0.0.12". Messages go to log, and the programs' logs if f fails.
//
// The error is that of f, or why a program did not start.
func Run(ctx context.Context, log io.Writer, find func(program string) (path string, err error), f func(*Scope) error) error {
	s := &Scope{ctx: ctx, log: log, find: find}
	done := make(chan struct{})
	// As in package testing, Fatalf ends this goroutine.
	go func() {
		defer close(done)
		defer s.cleanup()
		s.err = f(s)
	}()
	<-done
	return s.err
}

func (s *Scope) cleanup() {
	for _, f := range slices.Backward(s.cleanups) {
		f()
	}
}

// Helper does nothing: errors name their place.
func (s *Scope) Helper() {}

// Cleanup calls f when the scope ends; the last f first.
func (s *Scope) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }

// Logf writes a line to the log.
func (s *Scope) Logf(format string, args ...any) { fmt.Fprintf(s.log, format+"\n", args...) }

// Fatalf ends the function that [Run] has called, and is its error.
func (s *Scope) Fatalf(format string, args ...any) {
	s.err = fmt.Errorf(format, args...)
	runtime.Goexit()
}

// Failed reports whether the function has failed.
func (s *Scope) Failed() bool { return s.err != nil }

// Context ends when nothing may wait any more.
func (s *Scope) Context() context.Context { return s.ctx }

// TempDir makes a folder that is removed with the scope.
func (s *Scope) TempDir() string {
	dir, err := os.MkdirTemp("", "scope")
	if err != nil {
		s.Fatalf("testpeer: %v", err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
