package sessionticket

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// A Mode says how a server answers a handshake. The modes differ in when the
// TLS 1.3 session ticket is sent, and whether there is one. A handshake of
// TLS 1.2 or older has its ticket before the server's Finished (RFC 5077,
// Section 3.1) in every mode but [NoTicket] and [TLS12], which give none.
type Mode uint8

const (
	// OwnWrite holds the ticket until the client's Finished has arrived, and sends it in a
	// write of its own as soon as the handshake has returned, before anything that the
	// server writes. It is the default, and what clients get from most other servers.
	OwnWrite Mode = iota

	// FirstWrite holds the ticket longer, until the server first writes after the
	// client's Finished, and sends it in the same write, before those bytes. It saves a
	// system call.
	FirstWrite

	// NoTicket turns session tickets off for the connection. A ticket that the client
	// has from an earlier connection is not accepted, so nothing resumes: crypto/tls
	// has one switch for both.
	NoTicket

	// TLS12 allows TLS 1.2 at most, without session tickets. Where the client or the
	// config does not allow TLS 1.2, NoTicket is used instead.
	TLS12

	// Stock changes nothing: the ticket is the last record of the server's flight, as
	// crypto/tls sends it. It is for comparison and for tests.
	Stock
)

var modeNames = [...]string{
	OwnWrite:   "own-write",
	FirstWrite: "first-write",
	NoTicket:   "no-ticket",
	TLS12:      "tls12",
	Stock:      "stock",
}

// For returns the mode in which a client that sent hello is answered when m is
// chosen for it: m, or [NoTicket] where m is [TLS12] and the client does not
// offer TLS 1.2.
func (m Mode) For(hello *tls.ClientHelloInfo) Mode {
	if m == TLS12 && !slices.Contains(hello.SupportedVersions, tls.VersionTLS12) {
		return NoTicket
	}
	return m
}

// String returns "own-write", "first-write", "no-ticket", "tls12" or "stock".
func (m Mode) String() string {
	if int(m) >= len(modeNames) {
		return fmt.Sprintf("Mode(%d)", uint8(m))
	}
	return modeNames[m]
}

// MarshalText returns the name that [Mode.String] gives. It returns an error when
// m is none of the constants.
func (m Mode) MarshalText() ([]byte, error) {
	if int(m) >= len(modeNames) {
		return nil, unknownMode(m.String())
	}
	return []byte(modeNames[m]), nil
}

// UnmarshalText sets m from its name, exactly as [Mode.String] returns it. For any
// other text it returns an error that lists the names, and leaves m unchanged.
func (m *Mode) UnmarshalText(text []byte) error {
	for i, name := range modeNames {
		if name == string(text) {
			*m = Mode(i)
			return nil
		}
	}
	return unknownMode(string(text))
}

func unknownMode(name string) error {
	return fmt.Errorf("sessionticket: unknown mode %q; use own-write, first-write, no-ticket, tls12 or stock", name)
}
