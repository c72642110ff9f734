package persona

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net"

	"postern/internal/tlsrecord"

	utls "github.com/refraction-networking/utls"
)

var groupMismatch = Persona{
	ID:   "group-mismatch",
	Case: "group-mismatch",
	Does: "Offers P-521 and no other group for the key exchange",
	configure: func(config *tls.Config, _ Target) error {
		config.CurvePreferences = []tls.CurveID{tls.CurveP521}
		return nil
	},
}

var p521First = Persona{
	ID:   "p521-first",
	Case: "group-mismatch",
	Does: "Prefers P-521 and sends a key share for it alone, but supports X25519 and P-256",
	shape: func(t Target) *utls.ClientHelloSpec {
		return with(openSSLShape(t),
			groups(utls.CurveP521, utls.X25519, utls.CurveP256),
			keyShares(utls.CurveP521))
	},
}

var helloRetry = Persona{
	ID:   "hello-retry",
	Case: "hello-retry-refused",
	Does: "Sends a key share for an unknown group only, so that the server must send a HelloRetryRequest, and answers that",
	shape: func(t Target) *utls.ClientHelloSpec {
		spec := with(openSSLShape(t),
			groups(utls.GREASE_PLACEHOLDER, utls.X25519, utls.CurveP256, utls.CurveP521, utls.CurveP384), // RFC 8701
			&utls.KeyShareExtension{KeyShares: []utls.KeyShare{{Group: utls.GREASE_PLACEHOLDER, Data: []byte{0}}}})
		return without[*utls.UtlsPreSharedKeyExtension](spec)
	},
}

var helloRetryRefused = Persona{
	ID:   "hello-retry-refused",
	Case: "hello-retry-refused",
	Does: "Sends a key share for X25519, offers P-256 and P-384 too, and closes silently on a HelloRetryRequest",
	configure: func(config *tls.Config, _ Target) error {
		config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
		return nil
	},
	wrap: func(c net.Conn) net.Conn { return &noRetryConn{Conn: c} },
}

var errRetry = errors.New("the server sent a HelloRetryRequest")

const (
	// randomAt is the offset of a ServerHello's random in the first record: behind the
	// record header, the message header and legacy_version (RFC 8446, Sections 5.1 and 4.1.3).
	randomAt  = tlsrecord.HeaderLen + 4 + 2
	randomLen = 32
)

// retryRandom marks a ServerHello as a HelloRetryRequest (RFC 8446, Section 4.1.3).
var retryRandom = sha256.Sum256([]byte("HelloRetryRequest"))

// A noRetryConn closes if the server's first message is a HelloRetryRequest.
type noRetryConn struct {
	net.Conn
	start []byte // the first bytes from the server
}

func (c *noRetryConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if missing := randomAt + randomLen - len(c.start); missing > 0 {
		c.start = append(c.start, b[:min(n, missing)]...)
		if n >= missing && bytes.Equal(c.start[randomAt:], retryRandom[:]) {
			c.Conn.Close()
			return 0, errRetry
		}
	}
	return n, err
}
