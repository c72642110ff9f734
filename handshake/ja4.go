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
func ja4(h *ClientHello) string {
	var suiteRoom, extensionRoom [64]uint16 // for most without an allocation, as the other rooms here
	suites, extensions := appendPlain(suiteRoom[:0], h.Suites), appendPlain(extensionRoom[:0], h.Extensions)
	var room [len("t13d1516h2_8daaf6152771_e5627efa2ab1")]byte
	b := append(room[:0], 't')
	b = append(b, ja4Version(h)...)
	if slices.Contains(extensions, extServerName) {
		b = append(b, 'd')
	} else {
		b = append(b, 'i')
	}
	b = appendCount(b, len(suites))
	b = appendCount(b, len(extensions))
	first, last := ja4Protocol(h.ALPN)
	b = append(b, first, last)
	slices.Sort(suites)
	b = appendHash(append(b, '_'), suites, nil)
	extensions = slices.DeleteFunc(extensions, func(e uint16) bool { return e == extServerName || e == extALPN })
	slices.Sort(extensions)
	b = appendHash(append(b, '_'), extensions, h.Signatures)
	return string(b)
}

// SenderJA4 is the JA4 without the extensions that one client sends in one handshake and
// not in the next: pre_shared_key and early_data when it has a session to offer (RFC 8446,
// Sections 4.2.11 and 4.2.10), padding when the message has a certain size (RFC 7685). By the
// JA4 itself a client that comes back to resume would be taken for another. Of a client that
// offers no session and does not pad both are the same.
func (h *ClientHello) SenderJA4() string {
	steady := *h
	steady.Extensions = slices.DeleteFunc(slices.Clone(h.Extensions), func(e uint16) bool {
		return e == extPreSharedKey || e == extEarlyData || e == extPadding
	})
	return ja4(&steady)
}

// appendPlain appends those of list that are not GREASE.
func appendPlain(to, list []uint16) []uint16 {
	for _, n := range list {
		if !IsGREASE(n) {
			to = append(to, n)
		}
	}
	return to
}

func ja4Version(h *ClientHello) string {
	var room [16]uint16
	versions := appendPlain(room[:0], h.Versions)
	if len(versions) == 0 {
		versions = append(versions, h.Version)
	}
	switch slices.Max(versions) {
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
func ja4Protocol(names []string) (first, last byte) {
	if len(names) == 0 || names[0] == "" {
		return '0', '0'
	}
	first, last = names[0][0], names[0][len(names[0])-1]
	if isAlphanumeric(first) && isAlphanumeric(last) {
		return first, last
	}
	const digits = "0123456789abcdef"
	return digits[first>>4], digits[last&0xf]
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// appendCount appends n in two digits, 99 for anything greater.
func appendCount(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, '0'+byte(n/10), '0'+byte(n%10))
}

// appendHash appends the first 12 digits of the SHA-256 of list, and of rest behind an
// underscore if there is any; zeros if list is empty.
func appendHash(b []byte, list, rest []uint16) []byte {
	if len(list) == 0 {
		return append(b, "000000000000"...)
	}
	var room [512]byte
	text := appendHex(room[:0], list)
	var plainRoom [64]uint16
	if plain := appendPlain(plainRoom[:0], rest); len(plain) > 0 {
		text = appendHex(append(text, '_'), plain)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(b, sum[:6])
}

// appendHex appends the numbers in four hexadecimal digits each, between commas.
func appendHex(b []byte, list []uint16) []byte {
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = hex.AppendEncode(b, []byte{byte(n >> 8), byte(n)})
	}
	return b
}
