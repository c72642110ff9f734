package handshake

import (
	"crypto/tls"
	"encoding/binary"
	"slices"
	"time"

	"postern/internal/tlsrecord"
)

// prefixed returns content after its length, which takes size bytes.
func prefixed(size int, content ...[]byte) []byte {
	all := slices.Concat(content...)
	length := binary.BigEndian.AppendUint32(nil, uint32(len(all)))
	return append(length[4-size:], all...)
}

func uint16s[N ~uint16](list ...N) (b []byte) {
	for _, n := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	return b
}

// record returns a record of that type, message a handshake message.
func record(kind byte, content ...[]byte) []byte {
	return slices.Concat([]byte{kind, 3, 3}, prefixed(2, content...))
}

func message(code byte, body ...[]byte) []byte {
	return append([]byte{code}, prefixed(3, body...)...)
}

// records returns handshake messages in full records.
func records(content []byte) (all []byte) {
	for part := range slices.Chunk(content, tlsrecord.MaxPlaintext) {
		all = append(all, record(tlsrecord.Handshake, part)...)
	}
	return all
}

// sealed returns an encrypted record of TLS 1.3 with that many bytes of content.
func sealed(content int) []byte {
	return record(tlsrecord.ApplicationData, make([]byte, content+17))
}

var changeCipherSpec = record(tlsrecord.ChangeCipherSpec, []byte{1})

// hello returns a ClientHello with the content of h, in one record.
func hello(h *ClientHello) []byte { return record(tlsrecord.Handshake, message(1, helloBody(h))) }

func helloBody(h *ClientHello) []byte {
	var sessionID []byte
	if h.SessionID {
		sessionID = make([]byte, 32)
	}
	body := slices.Concat(uint16s(h.Version), make([]byte, 32), prefixed(1, sessionID),
		prefixed(2, uint16s(h.Suites...)), []byte{1, 0})
	if h.Extensions == nil {
		return body
	}
	var extensions []byte
	for _, kind := range h.Extensions {
		extensions = slices.Concat(extensions, uint16s(kind), prefixed(2, extension(h, kind)))
	}
	return append(body, prefixed(2, extensions)...)
}

func extension(h *ClientHello, kind Extension) []byte {
	var list []byte
	switch kind {
	case extServerName:
		return prefixed(2, []byte{0}, prefixed(2, []byte(h.ServerName)))
	case extSupportedGroups:
		return prefixed(2, uint16s(h.Groups...))
	case extSignatureAlgorithms:
		return prefixed(2, uint16s(h.Signatures...))
	case extALPN:
		for _, name := range h.ALPN {
			list = append(list, prefixed(1, []byte(name))...)
		}
		return prefixed(2, list)
	case extSessionTicket:
		if h.TicketTLS12 {
			return []byte("ticket")
		}
	case extSupportedVersions:
		return prefixed(1, uint16s(h.Versions...))
	case extPSKModes:
		for _, mode := range h.PSKModes {
			list = append(list, byte(mode))
		}
		return prefixed(1, list)
	case extKeyShare:
		for _, group := range h.KeyShares {
			list = slices.Concat(list, uint16s(group), prefixed(2, make([]byte, 32)))
		}
		return prefixed(2, list)
	}
	return nil
}

// serverHello returns a ServerHello of TLS 1.3, in one record.
func serverHello(suite Suite, resumed bool) []byte {
	extensions := slices.Concat(uint16s[Extension](extSupportedVersions, 2, tls.VersionTLS13), uint16s[Extension](extKeyShare, 36, 29, 32), make([]byte, 32))
	if resumed {
		extensions = append(extensions, uint16s[Extension](extPreSharedKey, 2, 0)...)
	}
	return record(tlsrecord.Handshake, message(2, uint16s[uint16](0x0303), make([]byte, 32), prefixed(1), uint16s(suite), []byte{0}, prefixed(2, extensions)))
}

// plainHello is a ClientHello of TLS 1.3 as a mail server sends it.
var plainHello = hello(&ClientHello{
	Version: 0x0303, Suites: []Suite{0x1301, 0x1302}, SessionID: true,
	Extensions: []Extension{extServerName, extSupportedGroups, extSignatureAlgorithms, extSupportedVersions, extPSKModes, extKeyShare},
	ServerName: "mx.example.org", Groups: []Group{29}, Signatures: []SignatureScheme{0x0403},
	Versions: []Version{tls.VersionTLS13}, PSKModes: []PSKMode{1}, KeyShares: []Group{29},
})

// A piece is what passed in one write.
type piece struct {
	from Side
	b    []byte
}

func client(records ...[]byte) piece { return piece{Client, slices.Concat(records...)} }
func serve(records ...[]byte) piece  { return piece{Server, slices.Concat(records...)} }

// recorded returns a recorder after the pieces, with a millisecond for each.
func recorded(view View, pieces ...piece) *Recorder {
	start := time.Unix(1e9, 0)
	r := NewRecorder(view, start)
	for i, p := range pieces {
		r.Feed(p.from, p.b, start.Add(time.Duration(i+1)*time.Millisecond))
	}
	return r
}
