package handshake

// A Hello is what a ClientHello says (RFC 8446, Section 4.1.2), as numbers of the wire,
// in its own order, GREASE (RFC 8701) included. Lists are bounded by the message's size.
type Hello struct {
	Size        int      // bytes of the message, its header of 4 included
	Version     uint16   // legacy_version
	Versions    []uint16 // supported_versions; nil: the extension is absent
	Suites      []uint16
	Extensions  []uint16 // their types
	Groups      []uint16 // supported_groups
	KeyShares   []uint16 // groups that a key is brought for
	Signatures  []uint16 // signature_algorithms
	PSKModes    []uint8  // psk_key_exchange_modes; nil: the extension is absent
	ALPN        []string
	ServerName  string // SNI; empty: absent
	SessionID   bool   // legacy_session_id is not empty
	TicketTLS12 bool   // session_ticket holds a ticket (RFC 5077)
	PSK         bool   // pre_shared_key: the client offers to resume (RFC 8446, Section 4.2.11)
	JA4         string // the fingerprint: https://github.com/FoxIO-LLC/ja4, technical_details/JA4.md
}

// A Choice is what a ServerHello says (RFC 8446, Section 4.1.3).
type Choice struct {
	Version uint16
	Suite   uint16
	Group   uint16 // 0: none named, as before TLS 1.3
	Resumed bool   // a session that the client offered goes on
	Retried bool   // a HelloRetryRequest came before
}
