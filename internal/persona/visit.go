package persona

import (
	"crypto/x509"
	"fmt"

	"postern/handshake"
)

// A Visit is what became of one visit. Strings and certificates are the server's own
// bytes: whoever prints them escapes them.
type Visit struct {
	// In reports that the handshake was completed and a command answered over TLS.
	In bool

	// Stage is how far it came; where Err is set, where that happened.
	Stage Stage

	// Transcript is the handshake as the client saw it, opened with its own keys; nil
	// when it did not come to TLS.
	Transcript *handshake.Transcript

	// TLS is what the handshake agreed on; nil when it was not completed.
	TLS *TLS

	// Greeting and EHLO are what the server said at first and to EHLO, or to CAPABILITY
	// or CAPA, in clear; SecureEHLO the same over TLS. At most 100 lines each, of at
	// most 2,048 bytes, without their ends.
	Greeting, EHLO, SecureEHLO []string

	// Err is why the client did not get in, or what went wrong after it had. It is nil for
	// a client that got in and left in good order.
	Err error

	// Plaintext reports that the client failed, came back without TLS, and was heard.
	Plaintext bool

	// Executed reports that the server executed a command that came in clear behind
	// STARTTLS (CVE-2011-0411).
	Executed bool

	// Delivered reports that the server took the message of Target.Deliver.
	Delivered bool

	// Answers are what the server said to a letter with a false end: to the text, to
	// what it took for commands behind it, and to QUIT; a line each, at most 20.
	Answers []string

	tickets *tickets // what the server gave
}

// Resumable reports whether the server gave the client what it needs to resume: see
// [Persona.Return].
func (v *Visit) Resumable() bool { return v.tickets.held() }

// retried reports whether the server sent a HelloRetryRequest.
func (v *Visit) retried() bool {
	return v.Transcript != nil && v.Transcript.Choice != nil && v.Transcript.Choice.Retried
}

// fail notes err, if it is one, as what ended the visit.
func (v *Visit) fail(err error) {
	if err != nil {
		v.Err = fmt.Errorf("persona: %s: %w", v.Stage, err)
	}
}

// use is what a transcript calls it, as far as it does not tell by itself.
func (v *Visit) use() handshake.Use {
	if v.Delivered {
		return handshake.Mailed
	}
	return handshake.Unused
}

// TLS is what a handshake agreed on.
type TLS struct {
	Version uint16 // [crypto/tls.VersionTLS13] and others
	Suite   uint16
	Resumed bool

	// Certificates are the server's, its own first, not verified unless the persona
	// does so. Those of a resumed session are of its first handshake.
	Certificates []*x509.Certificate
}

// A Stage is a part of a visit.
type Stage uint8

// The stages, in their order.
const (
	AtConnect Stage = iota
	AtGreeting
	AtEHLO
	AtSTARTTLS
	AtHandshake
	AfterTLS // in SMTP over TLS
)

// String names the stage in one or two words.
func (s Stage) String() string {
	return [...]string{"connect", "greeting", "EHLO", "STARTTLS", "handshake", "after TLS"}[min(s, AfterTLS)]
}
