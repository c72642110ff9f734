// Package mtasts reads, writes and applies the two halves of MTA-STS, RFC 8461, for the
// domain that receives: the TXT record that announces a policy, and the policy itself.
//
//	policy, err := mtasts.Fetch(ctx, client, "example.com")
//	if err == nil && !policy.Matches("mx.example.com") {
//		// senders that honour the policy do not deliver there
//	}
//
// # Strictness
//
// What is read is held to the grammar of the RFC, so that a policy which passes here passes with
// the strictest of senders. Fields that the RFC does not know are kept and otherwise ignored; of
// a field that stands twice the first counts (Section 3.2).
//
// # Limits
//
// A policy has at most [MaxPolicySize] bytes. Nothing is cached: keeping a policy for its
// max_age is what a sender does.
//
// # Concurrency
//
// All functions are safe for concurrent use, as long as nobody changes the values meanwhile.
package mtasts

import "errors"

// ErrSyntax is in the chain of every error about a record or a policy that can be had but is
// not what RFC 8461 says. RFC 8460 calls such a policy sts-policy-invalid.
var ErrSyntax = errors.New("not valid under RFC 8461")
