package handshake

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"time"
)

// A ServerHello is the content of a ServerHello (RFC 8446, Section 4.1.3).
type ServerHello struct {
	Version Version `json:"version"`
	Suite   Suite   `json:"suite"`
	Group   Group   `json:"group,omitzero"` // 0 if none is named, as before TLS 1.3
	Resumed bool    `json:"resumed"`        // the server resumes a session that the client offered
	Retried bool    `json:"retried"`        // a HelloRetryRequest came before
}

// retryRandom is the random that makes a ServerHello a HelloRetryRequest (RFC 8446,
// Section 4.1.3).
var retryRandom = sha256.Sum256([]byte("HelloRetryRequest"))

// readServerHello keeps the content of the first ServerHello, and returns the message's
// type: it may be a HelloRetryRequest.
func (r *Recorder) readServerHello(body []byte) MessageType {
	if len(body) >= 2+32 && [32]byte(body[2:]) == retryRandom {
		r.retried = true
		return TypeHelloRetryRequest
	}
	h, ok := parseServerHello(body)
	if !ok || r.t.ServerHello != nil {
		return TypeServerHello
	}
	// Before TLS 1.3 a server that resumes repeats the client's session ID
	// (RFC 5246, Section 7.4.1.3; RFC 5077, Section 3.4). TLS 1.3 always repeats it.
	if h.Version < tls.VersionTLS13 {
		h.Resumed = len(r.sessionID) > 0 && bytes.Equal(sessionIDOf(body), r.sessionID)
	}
	h.Retried = r.retried
	r.t.ServerHello = h
	r.client.ssl2.accepted(r)
	copy(r.session.ServerRandom[:], body[2:])
	r.session.Version, r.session.Suite = h.Version, h.Suite
	if r.keys != nil {
		r.opener = r.keys.Opener(r.session)
	}
	return TypeServerHello
}

// parseServerHello reads a ServerHello without its header (RFC 8446, Section 4.1.3).
func parseServerHello(body []byte) (*ServerHello, bool) {
	m := reader{b: body}
	h := &ServerHello{Version: Version(m.uint16())}
	m.bytes(32)              // random
	if h.Version.isTLS13() { // a draft before 22, without session ID and compression
		h.Suite = Suite(m.uint16())
	} else {
		m.vector8() // legacy_session_id_echo
		h.Suite = Suite(m.uint16())
		m.uint8() // legacy_compression_method
	}
	if m.short {
		return nil, false
	}
	for extensions := (reader{b: m.vector16()}); len(extensions.b) > 0; {
		switch extension, content := extensions.uint16(), (reader{b: extensions.vector16()}); extension {
		case extSupportedVersions:
			h.Version = Version(content.uint16())
		case extKeyShare:
			h.Group = Group(content.uint16())
		case extPreSharedKey:
			h.Resumed = true
		}
	}
	return h, true
}

// readTicket reads the head of a NewSessionTicket without its header: that of TLS 1.3
// (RFC 8446, Section 4.6.1), or of RFC 5077, Section 3.3.
func (r *Recorder) readTicket(body []byte) *Ticket {
	m := reader{b: body}
	t := &Ticket{Lifetime: time.Duration(m.uint32()) * time.Second}
	if r.isTLS13() {
		m.uint32()  // ticket_age_add
		m.vector8() // ticket_nonce
	}
	t.Size = int(m.uint16())
	if m.short {
		return nil
	}
	return t
}
