package handshake

import (
	"bytes"
	"slices"
	"strings"
)

// A ClientHello is the content of a ClientHello (RFC 8446, Section 4.1.2). Lists are in
// the order of the message and include GREASE values (RFC 8701). Of a longer list only the
// first 64 values are kept, of suites the first 128; JA4 is that of the whole message.
type ClientHello struct {
	Size        int               `json:"size"`                  // length of the message in bytes, with its header of 4
	Version     Version           `json:"legacy_version"`        // legacy_version
	Versions    []Version         `json:"versions,omitzero"`     // supported_versions; nil if the extension is absent
	Suites      []Suite           `json:"suites,omitzero"`       // cipher_suites
	Extensions  []Extension       `json:"extensions,omitzero"`   // the types of all extensions
	Groups      []Group           `json:"groups,omitzero"`       // supported_groups
	KeyShares   []Group           `json:"key_shares,omitzero"`   // the groups in key_share
	Signatures  []SignatureScheme `json:"signatures,omitzero"`   // signature_algorithms
	PSKModes    []PSKMode         `json:"psk_modes,omitzero"`    // psk_key_exchange_modes; nil if the extension is absent
	ALPN        []string          `json:"alpn,omitzero"`         // protocols, at most 8, of each at most 32 bytes
	ServerName  string            `json:"server_name,omitempty"` // SNI; empty if absent
	SessionID   bool              `json:"session_id"`            // legacy_session_id is not empty
	TicketTLS12 bool              `json:"ticket_tls12"`          // session_ticket holds a ticket (RFC 5077)
	PSK         bool              `json:"psk"`                   // pre_shared_key: the client offers to resume (RFC 8446, Section 4.2.11)
	JA4         string            `json:"ja4,omitempty"`         // the JA4 fingerprint

	senderJA4 string // of the whole message; empty if the lists are whole
}

// Extensions that are read (RFC 8446, Section 4.2 and the RFCs it cites).
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

	extOldApplicationSettings = 17513 // draft-vvv-tls-alps, not in the registry
	extApplicationSettings    = 17613
)

// Bounds of what is kept of a ClientHello, so that one made up of random values takes little room
// wherever transcripts are stored. Mail clients stay below them: the most that OpenSSL offered by
// default was some 100 suites.
const (
	maxNames      = 8   // ALPN protocols. Clients offer two or three
	maxNameLen    = 32  // bytes of one. "http/1.1" is a long one
	maxSuites     = 128 // cipher suites
	maxListed     = 64  // values in another list
	maxServerName = 255 // bytes of the server name, the longest of a host (RFC 1035, Section 2.3.4)
)

// readClientHello keeps the content of the first ClientHello, unless it is malformed.
func (r *Recorder) readClientHello(body []byte) {
	h, ok := parseClientHello(body)
	if !ok {
		return
	}
	r.t.ClientHello = h
	copy(r.session.ClientRandom[:], body[2:])
	r.sessionID = bytes.Clone(sessionIDOf(body))
}

// sessionIDOf returns the legacy_session_id of a ClientHello or ServerHello.
func sessionIDOf(body []byte) []byte {
	m := reader{b: body}
	m.bytes(2 + 32) // legacy_version, random
	return m.vector8()
}

// parseClientHello reads a ClientHello without its header (RFC 8446, Section 4.1.2).
func parseClientHello(body []byte) (*ClientHello, bool) {
	m := reader{b: body}
	h := &ClientHello{Size: messageHeaderLen + len(body), Version: Version(m.uint16())}
	m.bytes(32) // random
	h.SessionID = len(m.vector8()) > 0
	h.Suites = numbers[Suite](m.vector16())
	m.vector8() // legacy_compression_methods
	if m.short {
		return nil, false
	}
	if len(m.b) > 0 && !h.readExtensions(m.vector16()) || m.short || len(m.b) > 0 {
		return nil, false
	}
	h.JA4 = ja4(h)
	if len(h.Suites) > maxSuites || len(h.Extensions) > maxListed || len(h.Signatures) > maxListed {
		h.senderJA4 = h.SenderJA4()
	}
	h.shorten()
	return h, true
}

// shorten cuts what is longer than in any ClientHello of a mail client.
func (h *ClientHello) shorten() {
	h.ServerName = strings.Clone(h.ServerName[:min(len(h.ServerName), maxServerName)])
	for i, name := range h.ALPN {
		h.ALPN[i] = name[:min(len(name), maxNameLen)]
	}
	h.Suites = cut(h.Suites, maxSuites)
	h.Versions, h.Extensions, h.Groups = cut(h.Versions, maxListed), cut(h.Extensions, maxListed), cut(h.Groups, maxListed)
	h.KeyShares, h.Signatures, h.PSKModes = cut(h.KeyShares, maxListed), cut(h.Signatures, maxListed), cut(h.PSKModes, maxListed)
}

// cut returns the first values of list.
func cut[V any](list []V, most int) []V {
	if len(list) <= most {
		return list
	}
	return slices.Clone(list[:most])
}

func (h *ClientHello) readExtensions(b []byte) bool {
	m := reader{b: b}
	h.Extensions = make([]Extension, 0, countExtensions(b))
	for len(m.b) > 0 {
		extension, content := Extension(m.uint16()), m.vector16()
		if m.short {
			return false
		}
		h.Extensions = append(h.Extensions, extension)
		if !h.readExtension(extension, reader{b: content}) {
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

func (h *ClientHello) readExtension(extension Extension, m reader) bool {
	switch extension {
	case extServerName:
		h.ServerName = serverName(&m)
	case extSupportedGroups:
		h.Groups = numbers[Group](m.vector16())
	case extSignatureAlgorithms:
		h.Signatures = numbers[SignatureScheme](m.vector16())
	case extALPN:
		h.ALPN = protocolNames(m.vector16())
	case extSessionTicket:
		h.TicketTLS12 = len(m.b) > 0
	case extPreSharedKey:
		h.PSK = true
	case extSupportedVersions:
		h.Versions = numbers[Version](m.vector8())
	case extPSKModes:
		h.PSKModes = []PSKMode{}
		for _, mode := range m.vector8() {
			h.PSKModes = append(h.PSKModes, PSKMode(mode))
		}
	case extKeyShare:
		h.KeyShares = keyShares(&m)
	}
	return !m.short
}

// serverName returns the first host_name (RFC 6066, Section 3).
func serverName(m *reader) string {
	list := reader{b: m.vector16()}
	for len(list.b) > 0 && !list.short {
		if nameType, name := list.uint8(), list.vector16(); nameType == 0 {
			return string(name)
		}
	}
	return ""
}

// protocolNames returns the protocols of ALPN (RFC 7301, Section 3.1).
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

// keyShares returns the groups of a client's key_share (RFC 8446, Section 4.2.8).
func keyShares(m *reader) []Group {
	var groups []Group
	for list := (reader{b: m.vector16()}); len(list.b) > 0; {
		group := Group(list.uint16())
		list.vector16()
		if list.short {
			break
		}
		groups = append(groups, group)
	}
	return groups
}

// A reader takes values from the front of a message. When the bytes run out it returns
// zeros and sets short.
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

// vector8 and vector16 read a vector whose length takes one or two bytes (RFC 8446,
// Section 3.4).
func (r *reader) vector8() []byte  { return r.bytes(int(r.uint8())) }
func (r *reader) vector16() []byte { return r.bytes(int(r.uint16())) }

// numbers reads b as a list of two-byte numbers. The list is never nil.
func numbers[N ~uint16](b []byte) []N {
	list := make([]N, len(b)/2)
	for i := range list {
		list[i] = N(b[2*i])<<8 | N(b[2*i+1])
	}
	return list
}
