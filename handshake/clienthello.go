package handshake

import (
	"bytes"
)

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
func (r *Recorder) clientHello(body []byte) {
	h, ok := parseHello(body)
	if !ok {
		return
	}
	r.t.Hello = h
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
func parseHello(body []byte) (*Hello, bool) {
	m := reader{b: body}
	h := &Hello{Size: messageHeaderLen + len(body), Version: m.uint16()}
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

func (h *Hello) readExtensions(b []byte) bool {
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

func (h *Hello) readExtension(kind uint16, m reader) bool {
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
