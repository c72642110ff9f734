package strictclient

// Values of RFC 8446, Sections 4 and 4.2.
const (
	typeServerHello            = 2
	extensionSupportedVersions = 43
)

// Lengths of a ServerHello's fixed parts (RFC 8446, Section 4.1.3).
const (
	messageHeaderLen = 4      // msg_type, length
	versionRandomLen = 2 + 32 // legacy_version, random
	suiteMethodLen   = 2 + 1  // cipher_suite, legacy_compression_method
)

// isOldServerHello reports whether b, the start of a handshake record, is a
// ServerHello without supported_versions: the server chose TLS 1.2 or older
// (RFC 8446, Section 4.2.1). A HelloRetryRequest has the extension too.
func isOldServerHello(b []byte) bool {
	if len(b) < messageHeaderLen || b[0] != typeServerHello {
		return false
	}
	b, ok := skip(b, messageHeaderLen+versionRandomLen)
	if !ok || len(b) == 0 {
		return true
	}
	b, ok = skip(b, 1+int(b[0])+suiteMethodLen) // legacy_session_id_echo
	if !ok {
		return true
	}
	b, ok = skip(b, 2) // the length of the extensions
	return !ok || !hasExtension(b, extensionSupportedVersions)
}

func hasExtension(b []byte, want int) bool {
	for len(b) >= 4 {
		if int(b[0])<<8|int(b[1]) == want {
			return true
		}
		var ok bool
		if b, ok = skip(b, 4+(int(b[2])<<8|int(b[3]))); !ok {
			return false
		}
	}
	return false
}

func skip(b []byte, n int) ([]byte, bool) {
	if len(b) < n {
		return nil, false
	}
	return b[n:], true
}
