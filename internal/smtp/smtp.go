// Package smtp holds the words of the protocol that the receiving side and
// the next hop share: replies, command lines, envelopes and message text
// (RFC 5321 and its extensions).
//
// It parses bytes from strangers. Every reader here has a bound, and nothing
// here opens a connection or sets a deadline: the caller does.
package smtp

// Limits beyond those of RFC 5321, Section 4.5.3.1, for next hops that exceed
// them.
const (
	maxReplyLine  = 2048 // RFC 5321 says 512; next hops write longer texts
	maxReplyLines = 128  // an EHLO reply has about 15
)

// Extensions tells what a server can do beyond RFC 5321's minimum, as far as
// it concerns the envelope.
type Extensions struct {
	EightBitMIME bool  // RFC 6152
	SMTPUTF8     bool  // RFC 6531
	DSN          bool  // RFC 3461
	RequireTLS   bool  // RFC 8689
	Size         int64 // RFC 1870: the largest message in bytes; 0 means no limit is known
}
