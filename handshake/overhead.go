package handshake

// finishedLen12 is the length of a Finished message before TLS 1.3 (RFC 5246, Section 7.4.9).
const finishedLen12 = messageHeaderLen + 12

// finishedLen is the length of a Finished message of TLS 1.3: a hash of the suite's
// (RFC 8446, Section 4.4.4).
func (r *Recorder) finishedLen() int {
	if r.t.Choice != nil && r.t.Choice.Suite == 0x1302 { // TLS_AES_256_GCM_SHA384
		return messageHeaderLen + 48
	}
	return messageHeaderLen + 32
}

// contentLen is how much an encrypted record of that length holds if it is not
// padded. For suites that always pad it is the record's length.
func (r *Recorder) contentLen(length int) int {
	if r.t.Choice == nil {
		return length
	}
	return max(length-overhead(r.t.Choice.Version, r.t.Choice.Suite), 0)
}

// overhead is what encryption adds to a record's content: in TLS 1.3 the content
// type and a tag (RFC 8446, Section 5.2), in TLS 1.2 with AEAD suites an explicit
// nonce and a tag (RFC 5288, RFC 6655, RFC 7905).
func overhead(version, suite uint16) int {
	switch {
	case version == VersionTLS13 && suite == 0x1305: // CCM_8
		return 1 + 8
	case version == VersionTLS13:
		return 1 + 16
	case suite >= 0xcca8 && suite <= 0xccae: // CHACHA20_POLY1305: no explicit nonce
		return 16
	case suite >= 0x009c && suite <= 0x00a7, suite >= 0xc02b && suite <= 0xc032: // GCM
		return 8 + 16
	case suite >= 0xc09c && suite <= 0xc09f, suite >= 0xc0a4 && suite <= 0xc0a7,
		suite >= 0xc0ac && suite <= 0xc0ad: // CCM
		return 8 + 16
	case suite >= 0xc0a0 && suite <= 0xc0a3, suite >= 0xc0a8 && suite <= 0xc0ab,
		suite >= 0xc0ae && suite <= 0xc0af: // CCM_8
		return 8 + 8
	}
	return 0
}
