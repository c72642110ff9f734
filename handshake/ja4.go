package handshake

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// JA4 is the fingerprint of a ClientHello over TCP by the published algorithm:
// protocol, version, whether a name is asked for, how many suites and extensions,
// the first protocol's ends; a hash of the sorted suites; a hash of the sorted
// extensions and of the signature schemes in their order. GREASE (RFC 8701) counts
// for nothing. Clients of one build have the same one, with or without a name.
//
// Source: https://github.com/FoxIO-LLC/ja4, technical_details/JA4.md.
func ja4(h *Hello) string {
	suites, extensions := withoutGrease(h.Suites), withoutGrease(h.Extensions)
	b := make([]byte, 0, len("t13d1516h2_8daaf6152771_e5627efa2ab1"))
	b = append(b, 't')
	b = append(b, ja4Version(h)...)
	if slices.Contains(extensions, extServerName) {
		b = append(b, 'd')
	} else {
		b = append(b, 'i')
	}
	b = appendCount(b, len(suites))
	b = appendCount(b, len(extensions))
	b = append(b, ja4Protocol(h.ALPN)...)

	slices.Sort(suites)
	b = appendHash(append(b, '_'), appendHex(nil, suites))
	extensions = slices.DeleteFunc(extensions, func(e uint16) bool { return e == extServerName || e == extALPN })
	slices.Sort(extensions)
	list := appendHex(nil, extensions)
	if signatures := withoutGrease(h.Signatures); len(list) > 0 && len(signatures) > 0 {
		list = appendHex(append(list, '_'), signatures)
	}
	return string(appendHash(append(b, '_'), list))
}

// isGrease reports whether n is reserved so that nobody relies on it (RFC 8701, Section 2).
func isGrease(n uint16) bool { return n&0x0f0f == 0x0a0a && n>>8 == n&0xff }

func withoutGrease(list []uint16) []uint16 {
	return slices.DeleteFunc(slices.Clone(list), isGrease)
}

func ja4Version(h *Hello) string {
	version := h.Version
	if versions := withoutGrease(h.Versions); len(versions) > 0 {
		version = slices.Max(versions)
	}
	switch version {
	case VersionTLS13:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	case 0x0300:
		return "s3"
	case 0x0002:
		return "s2"
	}
	return "00"
}

// ja4Protocol is the first and the last character of the first protocol, or of its
// hexadecimal form if one of them is no ASCII letter or digit.
func ja4Protocol(names []string) string {
	if len(names) == 0 || names[0] == "" {
		return "00"
	}
	name := names[0]
	first, last := name[0], name[len(name)-1]
	if isAlphanumeric(first) && isAlphanumeric(last) {
		return string([]byte{first, last})
	}
	const digits = "0123456789abcdef"
	return string([]byte{digits[first>>4], digits[last&0xf]})
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// appendCount appends n in two digits, 99 for anything greater.
func appendCount(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, '0'+byte(n/10), '0'+byte(n%10))
}

// appendHex appends the numbers in four hexadecimal digits each, between commas.
func appendHex(b []byte, list []uint16) []byte {
	b = slices.Grow(b, 5*len(list))
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = hex.AppendEncode(b, []byte{byte(n >> 8), byte(n)})
	}
	return b
}

// appendHash appends the first 12 digits of list's SHA-256, zeros if it is empty.
func appendHash(b, list []byte) []byte {
	if len(list) == 0 {
		return append(b, "000000000000"...)
	}
	sum := sha256.Sum256(list)
	return hex.AppendEncode(b, sum[:6])
}
