// Package mtasts implements the receiving domain's part of MTA-STS, RFC 8461: the TXT
// record that announces a policy, and the policy.
//
//	policy, err := mtasts.Fetch(ctx, client, "example.com")
//	if err == nil && !policy.Matches("mx.example.com") {
//		// senders that enforce the policy do not deliver to this host
//	}
//
// # Strictness
//
// Records and policies must follow the grammar of the RFC, so that what this package
// accepts without a warning, the strictest of senders accept. Unknown fields are kept. Of a
// repeated field the first counts (Section 3.2).
//
// # Limits
//
// A policy has at most [MaxPolicySize] bytes, a record at most 4 KiB. Nothing is cached:
// keeping a policy for its max_age is the sender's task.
//
// # Concurrency
//
// Functions and methods are safe for concurrent use, provided that nothing modifies the
// values meanwhile.
package mtasts

import (
	"errors"
	"fmt"

	"postern/internal/safetext"
)

// Errors to test for with [errors.Is].
var (
	// ErrSyntax reports a record or policy that does not conform to RFC 8461. RFC 8460
	// calls such a policy sts-policy-invalid.
	ErrSyntax = errors.New("not valid under RFC 8461")

	// ErrNoRecord reports that a domain publishes no MTA-STS record.
	ErrNoRecord = errors.New("no MTA-STS record")

	// ErrMultipleRecords reports that a domain publishes more than one MTA-STS record.
	// Senders then assume that it has no policy (RFC 8461, Section 3.1).
	ErrMultipleRecords = errors.New("more than one MTA-STS record")
)

// A Field is a name and value that RFC 8461 does not define, in a record or policy.
type Field struct{ Name, Value string }

// quoted returns a text of a record or policy in quotes, shortened in the middle.
func quoted(s string) string { return safetext.Quote(s, 80) }

// keepFirst removes all but the first of each field, as RFC 8461, Section 3.2 requires.
// The field named repeatable keeps them all.
func keepFirst(fields []Field, repeatable string) []Field {
	seen := make(map[string]bool)
	var kept []Field
	for _, f := range fields {
		if !seen[f.Name] {
			kept = append(kept, f)
		}
		seen[f.Name] = f.Name != repeatable
	}
	return kept
}

// checkUnique refuses extensions that would not be read back: those with the name of
// another or of a defined field.
func checkUnique(extensions []Field, defined ...string) error {
	seen := make(map[string]bool)
	for _, name := range defined {
		seen[name] = true
	}
	for _, f := range extensions {
		if seen[f.Name] {
			return fmt.Errorf("%s is repeated: only the first is read", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}
