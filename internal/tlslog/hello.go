package tlslog

import "encoding/binary"

// A hello is a ClientHello or ServerHello as a log lists it. It is written again as bytes, so
// that one parser reads all of them.
type hello struct {
	version    uint16
	random     []byte // of 32 bytes
	sessionID  []byte
	suites     []uint16
	extensions []extension
	server     bool
}

// An extension has what a log says of it.
type extension struct {
	id     uint16
	length int // as listed
	raw    []byte
	values []uint16
	names  []string
	groups []keyShare
}

type keyShare struct {
	group  uint16
	length int
}

// bytes returns the message without its header, nil if the log does not list it whole.
func (h *hello) bytes(length int) []byte {
	b := binary.BigEndian.AppendUint16(nil, h.version)
	random := make([]byte, 32)
	copy(random, h.random)
	b = append(b, random...)
	b = append(b, byte(len(h.sessionID)))
	b = append(b, h.sessionID...)
	if h.server {
		b = append(values16(b, h.suites), 0)
	} else {
		b = binary.BigEndian.AppendUint16(b, uint16(2*len(h.suites)))
		b = append(values16(b, h.suites), 1, 0)
	}
	var all []byte
	for _, e := range h.extensions {
		content, ok := e.content(h.server)
		if !ok || len(all)+len(content) > length {
			return nil
		}
		all = binary.BigEndian.AppendUint16(all, e.id)
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(content))), content...)
	}
	if len(h.extensions) > 0 {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(all))), all...)
	}
	if len(b) != length {
		return nil
	}
	return b
}

func values16(b []byte, values []uint16) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}

// Extensions whose content is needed (RFC 8446, Section 4.2).
const (
	extSupportedGroups     = 10
	extSignatureAlgorithms = 13
	extALPN                = 16
	extSupportedVersions   = 43
	extPSKModes            = 45
	extSignaturesCert      = 50
	extKeyShare            = 51
)

// content returns the extension's content. That of an extension which is not read is zeros.
func (e extension) content(server bool) ([]byte, bool) {
	var b []byte
	switch {
	case len(e.raw) == e.length:
		return e.raw, true
	case server && e.id == extSupportedVersions:
		b = values16(nil, e.values)
	case server && e.id == extKeyShare:
		for _, share := range e.groups {
			b = share.append(b, e.length > 2)
		}
	case e.id == extSupportedGroups, e.id == extSignatureAlgorithms, e.id == extSignaturesCert:
		b = values16(binary.BigEndian.AppendUint16(nil, uint16(2*len(e.values))), e.values)
	case e.id == extSupportedVersions:
		b = values16([]byte{byte(2 * len(e.values))}, e.values)
	case e.id == extPSKModes:
		b = []byte{byte(len(e.values))}
		for _, v := range e.values {
			b = append(b, byte(v))
		}
	case e.id == extALPN:
		var names []byte
		for _, name := range e.names {
			names = append(append(names, byte(len(name))), name...)
		}
		b = append(binary.BigEndian.AppendUint16(nil, uint16(len(names))), names...)
	case e.id == extKeyShare:
		var shares []byte
		for _, share := range e.groups {
			shares = share.append(shares, true)
		}
		b = append(binary.BigEndian.AppendUint16(nil, uint16(len(shares))), shares...)
	default:
		return make([]byte, e.length), true
	}
	return b, len(b) == e.length
}

func (k keyShare) append(b []byte, key bool) []byte {
	b = binary.BigEndian.AppendUint16(b, k.group)
	if key {
		b = append(binary.BigEndian.AppendUint16(b, uint16(k.length)), make([]byte, k.length)...)
	}
	return b
}
