// Package smtp holds the words of the protocol that the receiving side and
// the next hop share: replies, command lines, envelopes and message text
// (RFC 5321 and its extensions).
//
// It parses bytes from strangers. Every reader here has a bound, and nothing
// here opens a connection or sets a deadline: the caller does.
package smtp
