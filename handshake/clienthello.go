package handshake

import (
	"bytes"
)

// A Hello is what a ClientHello says (RFC 8446, Section 4.1.2), as numbers of the wire,
// in its own order, GREASE (RFC 8701) included. Lists are bounded by the message's size.
type ClientHello struct {
	Size        int      // bytes of the message, its header of 4 included
	Version     uint16   // legacy_version
	Versions    []uint16 // supported_versions; nil: the extension is absent
	Suites      []uint16
	Extensions  []uint16 // their types
	Groups      []uint16 // supported_groups
	KeyShares   []uint16 // groups that a key is brought for
	Signatures  []uint16 // signature_algorithms
	PSKModes    []uint8  // psk_key_exchange_modes; nil: the extension is absent
	ALPN        []string
	ServerName  string // SNI; empty: absent
	SessionID   bool   // legacy_session_id is not empty
	TicketTLS12 bool   // session_ticket holds a ticket (RFC 5077)
	PSK         bool   // pre_shared_key: the client offers to resume (RFC 8446, Section 4.2.11)
	JA4         string // the fingerprint: https://github.com/FoxIO-LLC/ja4, technical_details/JA4.md
}

// Extensions (RFC 8446, Section 4.2 and those it cites).
const (
	extServerName          = 0
	extSupportedGroups     = 10
	extSignatureAlgorithms = 13
	extALPN                = 16
	extPadding             = 21
	extSessionTicket       = 35
	extPreSharedKey        = 41
	extEarlyData           = 42
	extSupportedVersions   = 43
	extPSKModes            = 45
	extKeyShare            = 51
)

// maxNames bounds the protocols of ALPN that are kept. Clients offer two or three.
const maxNames = 8

// clientHello reads the first ClientHello. One that is malformed leaves no Hello.
func (r *Recorder) readClientHello(body []byte) {
	h, ok := parseClientHello(body)
	if !ok {
		return
	}
	r.t.ClientHello = h
	copy(r.session.ClientRandom[:], body[2:])
	r.sessionID = bytes.Clone(sessionIDOf(body))
}

// sessionIDOf returns legacy_session_id of a ClientHello or ServerHello.
func sessionIDOf(body []byte) []byte {
	m := reader{b: body}
	m.bytes(2 + 32) // legacy_version, random
	return m.vector8()
}

// parseHello reads a ClientHello without its header (RFC 8446, Section 4.1.2).
func parseClientHello(body []byte) (*ClientHello, bool) {
	m := reader{b: body}
	h := &ClientHello{Size: messageHeaderLen + len(body), Version: m.uint16()}
	m.bytes(32) // random
	h.SessionID = len(m.vector8()) > 0
	h.Suites = numbers(m.vector16())
	m.vector8() // legacy_compression_methods
	if m.short {
		return nil, false
	}
	if len(m.b) > 0 && !h.readExtensions(m.vector16()) || m.short || len(m.b) > 0 {
		return nil, false
	}
	h.JA4 = ja4(h)
	return h, true
}

func (h *ClientHello) readExtensions(b []byte) bool {
	m := reader{b: b}
	h.Extensions = make([]uint16, 0, countExtensions(b))
	for len(m.b) > 0 {
		kind, data := m.uint16(), m.vector16()
		if m.short {
			return false
		}
		h.Extensions = append(h.Extensions, kind)
		if !h.readExtension(kind, reader{b: data}) {
			return false
		}
	}
	return true
}

func countExtensions(b []byte) (n int) {
	for m := (reader{b: b}); len(m.b) > 0; n++ {
		m.uint16()
		m.vector16()
	}
	return n
}

func (h *ClientHello) readExtension(kind uint16, m reader) bool {
	switch kind {
	case extServerName:
		h.ServerName = serverName(&m)
	case extSupportedGroups:
		h.Groups = numbers(m.vector16())
	case extSignatureAlgorithms:
		h.Signatures = numbers(m.vector16())
	case extALPN:
		h.ALPN = protocolNames(m.vector16())
	case extSessionTicket:
		h.TicketTLS12 = len(m.b) > 0
	case extPreSharedKey:
		h.PSK = true
	case extSupportedVersions:
		h.Versions = numbers(m.vector8())
	case extPSKModes:
		h.PSKModes = append([]uint8{}, m.vector8()...)
	case extKeyShare:
		h.KeyShares = keyShares(&m)
	}
	return !m.short
}

// serverName is the first host_name (RFC 6066, Section 3).
func serverName(m *reader) string {
	list := reader{b: m.vector16()}
	for len(list.b) > 0 && !list.short {
		if kind, name := list.uint8(), list.vector16(); kind == 0 {
			return string(name)
		}
	}
	return ""
}

// protocolNames are those of ALPN (RFC 7301, Section 3.1).
func protocolNames(b []byte) []string {
	var names []string
	for m := (reader{b: b}); len(m.b) > 0 && len(names) < maxNames; {
		name := m.vector8()
		if m.short {
			break
		}
		names = append(names, string(name))
	}
	return names
}

// keyShares are the groups of a client's key_share (RFC 8446, Section 4.2.8).
func keyShares(m *reader) []uint16 {
	var groups []uint16
	for list := (reader{b: m.vector16()}); len(list.b) > 0; {
		group := list.uint16()
		list.vector16()
		if list.short {
			break
		}
		groups = append(groups, group)
	}
	return groups
}

// A reader takes values off the front of a message. Where bytes run short it gives
// zeros and notes it.
type reader struct {
	b     []byte
	short bool
}

func (r *reader) bytes(n int) []byte {
	if len(r.b) < n {
		r.b, r.short = nil, true
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) uint8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.bytes(2); b != nil {
		return uint16(b[0])<<8 | uint16(b[1])
	}
	return 0
}

func (r *reader) uint32() uint32 { return uint32(r.uint16())<<16 | uint32(r.uint16()) }

// vector8 and vector16 take what a length of one or two bytes announces
// (RFC 8446, Section 3.4).
func (r *reader) vector8() []byte  { return r.bytes(int(r.uint8())) }
func (r *reader) vector16() []byte { return r.bytes(int(r.uint16())) }

// numbers are those of two bytes each in b. It is never nil.
func numbers(b []byte) []uint16 {
	list := make([]uint16, len(b)/2)
	for i := range list {
		list[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	return list
}
