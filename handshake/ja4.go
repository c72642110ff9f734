package handshake

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"slices"
)

// ja4 returns the JA4 fingerprint of a ClientHello over TCP: protocol, version, whether
// SNI is present, the number of suites and extensions, both ends of the first ALPN
// protocol; a hash of the sorted suites; a hash of the sorted extensions and of the
// signature schemes in their order. GREASE values are left out. Clients of one build
// have the same fingerprint, with SNI and without.
//
// Source: https://github.com/FoxIO-LLC/ja4, technical_details/JA4.md.
func ja4(h *ClientHello) string {
	// Arrays of this size keep most hellos from allocating.
	var suiteArray [64]Suite
	var extensionArray [64]Extension
	suites, extensions := appendPlain(suiteArray[:0], h.Suites), appendPlain(extensionArray[:0], h.Extensions)
	var array [len("t13d1516h2_8daaf6152771_e5627efa2ab1")]byte
	b := append(array[:0], 't')
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
	sort(suites)
	b = appendHash(append(b, '_'), suites, nil)
	extensions = slices.DeleteFunc(extensions, func(e Extension) bool { return e == extServerName || e == extALPN })
	sort(extensions)
	b = appendHash(append(b, '_'), extensions, h.Signatures)
	return string(b)
}

// SenderJA4 returns the JA4 fingerprint without the extensions that one client sends in
// one handshake and not in the next: pre_shared_key and early_data when it offers a
// session (RFC 8446, Sections 4.2.11 and 4.2.10), padding when the message has a certain
// size (RFC 7685). So a client that resumes is recognised as the same client. For a
// client that offers no session and does not pad, it equals JA4.
func (h *ClientHello) SenderJA4() string {
	if h.senderJA4 != "" {
		return h.senderJA4
	}
	changing := func(e Extension) bool { return e == extPreSharedKey || e == extEarlyData || e == extPadding }
	if h.JA4 != "" && !slices.ContainsFunc(h.Extensions, changing) {
		return h.JA4
	}
	steady := *h
	steady.Extensions = slices.DeleteFunc(slices.Clone(h.Extensions), changing)
	return ja4(&steady)
}

// sort sorts a list. Comparing the values of a long one, which a stranger may send, would cost
// more than the rest of its handshake: those are sorted by their low byte, then by their high one.
func sort[N ~uint16](list []N) {
	if len(list) <= maxSuites {
		slices.Sort(list)
		return
	}
	from, to := list, make([]N, len(list))
	for shift := 0; shift < 16; shift += 8 {
		var starts [256 + 1]int
		for _, n := range from {
			starts[n>>shift&0xff+1]++
		}
		for i := range 256 {
			starts[i+1] += starts[i]
		}
		for _, n := range from {
			at := &starts[n>>shift&0xff]
			to[*at] = n
			*at++
		}
		from, to = to, from
	}
}

// appendPlain appends the values of list that are not GREASE.
func appendPlain[N ~uint16](to, list []N) []N {
	for _, n := range list {
		if !IsGREASE(n) {
			to = append(to, n)
		}
	}
	return to
}

func ja4Version(h *ClientHello) string {
	var array [16]Version
	versions := appendPlain(array[:0], h.Versions)
	if len(versions) == 0 {
		versions = append(versions, h.Version)
	}
	switch slices.Max(versions) {
	case tls.VersionTLS13:
		return "13"
	case tls.VersionTLS12:
		return "12"
	case tls.VersionTLS11:
		return "11"
	case tls.VersionTLS10:
		return "10"
	case 0x0300:
		return "s3"
	case 0x0002:
		return "s2"
	}
	return "00"
}

// ja4Protocol returns the first and the last character of the first protocol, or of its
// hexadecimal form if one of them is not an ASCII letter or digit.
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

// appendCount appends n in two digits, 99 if it is greater.
func appendCount(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, '0'+byte(n/10), '0'+byte(n%10))
}

// appendHash appends the first 12 hexadecimal digits of the SHA-256 of list, followed in
// the hash by an underscore and schemes if there are any; zeros if list is empty.
func appendHash[N ~uint16](b []byte, list []N, schemes []SignatureScheme) []byte {
	if len(list) == 0 {
		return append(b, "000000000000"...)
	}
	var array [512]byte
	text := appendHex(slices.Grow(array[:0], len("0000,")*len(list)), list)
	var schemeArray [64]SignatureScheme
	if plain := appendPlain(schemeArray[:0], schemes); len(plain) > 0 {
		text = appendHex(append(text, '_'), plain)
	}
	sum := sha256.Sum256(text)
	return hex.AppendEncode(b, sum[:6])
}

// appendHex appends the numbers in four hexadecimal digits each, separated by commas.
func appendHex[N ~uint16](b []byte, list []N) []byte {
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		const digits = "0123456789abcdef"
		b = append(b, digits[n>>12], digits[n>>8&0xf], digits[n>>4&0xf], digits[n&0xf])
	}
	return b
}
