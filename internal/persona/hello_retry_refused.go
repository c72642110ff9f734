package persona

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net"
)

var helloRetryRefused = Persona{
	ID:   "hello-retry-refused",
	Case: "hello-retry-refused",
	Does: "Brings a key for X25519, offers P-256 and P-384 too, and closes silently on a HelloRetryRequest",
	configure: func(config *tls.Config, _ Target) error {
		config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
		return nil
	},
	below: func(c net.Conn) net.Conn { return &noRetryConn{Conn: c} },
}

var errRetry = errors.New("the server asked for another key with a HelloRetryRequest")

const (
	// randomAt is where a ServerHello's random begins in the first record: behind the
	// headers of record and message and legacy_version (RFC 8446, Sections 5.1 and 4.1.3).
	randomAt  = 5 + 4 + 2
	randomLen = 32
)

// retryRandom marks a ServerHello as a HelloRetryRequest (RFC 8446, Section 4.1.3).
var retryRandom = sha256.Sum256([]byte("HelloRetryRequest"))

// A noRetryConn closes silently when the server's first message is a HelloRetryRequest.
type noRetryConn struct {
	net.Conn
	start []byte // what the server said first
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
