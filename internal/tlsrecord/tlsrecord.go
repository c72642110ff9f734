// Package tlsrecord knows the header of a TLS record: content type, version and
// length (RFC 8446, Section 5.1). All versions from SSL 3.0 to TLS 1.3 share it.
package tlsrecord

// HeaderLen is the length of a record's header.
const HeaderLen = 5

// The largest lengths of a record's body.
const (
	MaxPlaintext       = 1 << 14             // RFC 8446, Section 5.1
	MaxCiphertext      = MaxPlaintext + 256  // RFC 8446, Section 5.2
	MaxCiphertextTLS12 = MaxPlaintext + 2048 // RFC 5246, Section 6.2.3
)

// Content types (RFC 8446, Section 5.1; heartbeat is RFC 6520).
const (
	ChangeCipherSpec = 20
	Alert            = 21
	Handshake        = 22
	ApplicationData  = 23
	Heartbeat        = 24
)

// Length returns the length of the body that a header announces. The header has
// at least [HeaderLen] bytes.
func Length(header []byte) int { return int(header[3])<<8 | int(header[4]) }

// IsType reports whether b is a content type, so that a record may begin with it.
func IsType(b byte) bool { return ChangeCipherSpec <= b && b <= Heartbeat }

// BeginsHandshake reports whether b may begin a handshake record, as far as its
// first two bytes show.
func BeginsHandshake(b []byte) bool {
	return len(b) > 0 && b[0] == Handshake && (len(b) == 1 || b[1] == 3)
}

// Begins reports whether b begins with the header of a record that has content.
func Begins(b []byte) bool {
	return len(b) >= HeaderLen && IsType(b[0]) && b[1] == 3 && b[2] <= 4 && 0 < Length(b) && Length(b) <= MaxCiphertextTLS12
}

// BeginsSSL2Hello reports whether b begins with a ClientHello in the format of SSL 2.0,
// which old clients send for later versions too (RFC 5246, Appendix E.2).
func BeginsSSL2Hello(b []byte) bool {
	const clientHello, ssl2, ssl3 = 1, 0, 3
	return len(b) >= 7 && b[0]&0x80 != 0 && b[2] == clientHello && (b[3] == ssl3 && b[4] <= 3 || b[3] == ssl2 && b[4] == 2) &&
		(int(b[5])<<8|int(b[6]))%3 == 0 // its suites have three bytes
}

// AppendHeader appends the header of a record of TLS 1.2 or 1.3 to b.
func AppendHeader(b []byte, contentType byte, length int) []byte {
	return append(b, contentType, 3, 3, byte(length>>8), byte(length))
}
