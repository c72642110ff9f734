package sessionticket

import "fmt"

// A Policy says when the TLS 1.3 session ticket of a connection leaves. Handshakes
// of TLS 1.2 and older have their ticket before the server's Finished (RFC 5077,
// Section 3.1); of the policies only [Never] changes those.
type Policy uint8

const (
	// FirstWrite holds the ticket until the server first writes after the client's
	// Finished, and sends it in the same write, before those bytes. It is the default.
	FirstWrite Policy = iota

	// OwnWrite holds the ticket like FirstWrite and sends it in a write of its own:
	// when the server first reads after the handshake, or before it first writes.
	OwnWrite

	// Never turns session tickets off for the connection. A ticket that the client
	// has from an earlier connection is not accepted then, so nothing resumes:
	// crypto/tls has one switch for both.
	Never

	// Stock leaves everything as crypto/tls does it: the ticket is the last record
	// of the server's flight. It is for comparison and for tests.
	Stock
)

var policyNames = [...]string{
	FirstWrite: "first-write",
	OwnWrite:   "own-write",
	Never:      "never",
	Stock:      "stock",
}

// String returns "first-write", "own-write", "never" or "stock".
func (p Policy) String() string {
	if int(p) >= len(policyNames) {
		return fmt.Sprintf("Policy(%d)", uint8(p))
	}
	return policyNames[p]
}

// MarshalText returns the name that [Policy.String] gives. It returns a
// [PolicyError] when p is none of the constants.
func (p Policy) MarshalText() ([]byte, error) {
	if int(p) >= len(policyNames) {
		return nil, PolicyError(p.String())
	}
	return []byte(policyNames[p]), nil
}

// UnmarshalText sets p from its name, exactly as [Policy.String] writes it. It
// returns a [PolicyError] for any other text and leaves p as it was.
func (p *Policy) UnmarshalText(text []byte) error {
	for i, name := range policyNames {
		if name == string(text) {
			*p = Policy(i)
			return nil
		}
	}
	return PolicyError(text)
}

// PolicyError is a text that names no [Policy].
type PolicyError string

// Error names the text and the ones that are known.
func (e PolicyError) Error() string {
	return fmt.Sprintf("sessionticket: no ticket policy %q; use first-write, own-write, never or stock", string(e))
}
