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

// T is the part of [testing.TB] that this package needs, so that a program that
// is not a test can give its own. Fatalf must not return. A T may also have the
// methods Failed and Skipf of testing.TB: without them no log is shown at the
// end, and a missing program is fatal. With the method Context nothing is waited for
// once that has ended. [Play] has one for programs.
type T interface {
	Helper()
	Cleanup(func())
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	TempDir() string
}
