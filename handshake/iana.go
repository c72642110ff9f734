package handshake

// IsGREASE reports whether n is one of the two-byte values that clients put into
// their lists so that servers learn to ignore what they do not know (RFC 8701,
// Section 2).
func IsGREASE[N ~uint16](n N) bool { return n&0x0f0f == 0x0a0a && n>>8 == n&0xff }

// A Version is a protocol version, such as "TLS 1.2".
type Version uint16

// String returns the name, or 0x and hexadecimal digits if there is none.
func (v Version) String() string { return versionNames.name(v) }

// MarshalText returns the same text as String.
func (v Version) MarshalText() ([]byte, error) { return versionNames.marshal(v) }

// UnmarshalText reads what MarshalText writes, and any number as 0x and hexadecimal digits.
func (v *Version) UnmarshalText(text []byte) error { return versionNames.unmarshal(text, v) }

var versionNames = newRegistry("version", map[Version]string{
	0x0002: "SSL 2.0",
	0x0300: "SSL 3.0",
	0x0301: "TLS 1.0",
	0x0302: "TLS 1.1",
	0x0303: "TLS 1.2",
	0x0304: "TLS 1.3",
}, grease16[Version]()...)

// An Extension is an extension type. It has the name in IANA's registry "TLS ExtensionType
// Values", such as "server_name".
type Extension uint16

// String returns the name, or 0x and hexadecimal digits if there is none.
func (e Extension) String() string { return extensionNames.name(e) }

// MarshalText returns the same text as String.
func (e Extension) MarshalText() ([]byte, error) { return extensionNames.marshal(e) }

// UnmarshalText reads what MarshalText writes, and any number as 0x and hexadecimal digits.
func (e *Extension) UnmarshalText(text []byte) error { return extensionNames.unmarshal(text, e) }

var extensionNames = newRegistry("extension", map[Extension]string{
	0:      "server_name",
	1:      "max_fragment_length",
	2:      "client_certificate_url",
	3:      "trusted_ca_keys",
	4:      "truncated_hmac",
	5:      "status_request",
	6:      "user_mapping",
	7:      "client_authz",
	8:      "server_authz",
	9:      "cert_type",
	10:     "supported_groups",
	11:     "ec_point_formats",
	12:     "srp",
	13:     "signature_algorithms",
	14:     "use_srtp",
	15:     "heartbeat",
	16:     "application_layer_protocol_negotiation",
	17:     "status_request_v2",
	18:     "signed_certificate_timestamp",
	19:     "client_certificate_type",
	20:     "server_certificate_type",
	21:     "padding",
	22:     "encrypt_then_mac",
	23:     "extended_master_secret",
	24:     "token_binding",
	25:     "cached_info",
	26:     "tls_lts",
	27:     "compress_certificate",
	28:     "record_size_limit",
	29:     "pwd_protect",
	30:     "pwd_clear",
	31:     "password_salt",
	32:     "ticket_pinning",
	33:     "tls_cert_with_extern_psk",
	34:     "delegated_credential",
	35:     "session_ticket",
	36:     "TLMSP",
	37:     "TLMSP_proxying",
	38:     "TLMSP_delegate",
	39:     "supported_ekt_ciphers",
	41:     "pre_shared_key",
	42:     "early_data",
	43:     "supported_versions",
	44:     "cookie",
	45:     "psk_key_exchange_modes",
	47:     "certificate_authorities",
	48:     "oid_filters",
	49:     "post_handshake_auth",
	50:     "signature_algorithms_cert",
	51:     "key_share",
	52:     "transparency_info",
	54:     "connection_id",
	55:     "external_id_hash",
	56:     "external_session_id",
	57:     "quic_transport_parameters",
	58:     "ticket_request",
	59:     "dnssec_chain",
	60:     "sequence_number_encryption_algorithms",
	61:     "rrc",
	0xfd00: "ech_outer_extensions",
	0xfe0d: "encrypted_client_hello",
	0xff01: "renegotiation_info",
}, grease16[Extension]()...)

// A Group is a key exchange group. It has the name in IANA's registry "TLS Supported
// Groups", such as "x25519".
type Group uint16

// String returns the name, or 0x and hexadecimal digits if there is none.
func (g Group) String() string { return groupNames.name(g) }

// MarshalText returns the same text as String.
func (g Group) MarshalText() ([]byte, error) { return groupNames.marshal(g) }

// UnmarshalText reads what MarshalText writes, and any number as 0x and hexadecimal digits.
func (g *Group) UnmarshalText(text []byte) error { return groupNames.unmarshal(text, g) }

var groupNames = newRegistry("group", map[Group]string{
	1:     "sect163k1",
	2:     "sect163r1",
	3:     "sect163r2",
	4:     "sect193r1",
	5:     "sect193r2",
	6:     "sect233k1",
	7:     "sect233r1",
	8:     "sect239k1",
	9:     "sect283k1",
	10:    "sect283r1",
	11:    "sect409k1",
	12:    "sect409r1",
	13:    "sect571k1",
	14:    "sect571r1",
	15:    "secp160k1",
	16:    "secp160r1",
	17:    "secp160r2",
	18:    "secp192k1",
	19:    "secp192r1",
	20:    "secp224k1",
	21:    "secp224r1",
	22:    "secp256k1",
	23:    "secp256r1",
	24:    "secp384r1",
	25:    "secp521r1",
	26:    "brainpoolP256r1",
	27:    "brainpoolP384r1",
	28:    "brainpoolP512r1",
	29:    "x25519",
	30:    "x448",
	31:    "brainpoolP256r1tls13",
	32:    "brainpoolP384r1tls13",
	33:    "brainpoolP512r1tls13",
	34:    "GC256A",
	35:    "GC256B",
	36:    "GC256C",
	37:    "GC256D",
	38:    "GC512A",
	39:    "GC512B",
	40:    "GC512C",
	41:    "curveSM2",
	256:   "ffdhe2048",
	257:   "ffdhe3072",
	258:   "ffdhe4096",
	259:   "ffdhe6144",
	260:   "ffdhe8192",
	512:   "MLKEM512",
	513:   "MLKEM768",
	514:   "MLKEM1024",
	4587:  "SecP256r1MLKEM768",
	4588:  "X25519MLKEM768",
	4589:  "SecP384r1MLKEM1024",
	4590:  "curveSM2MLKEM768",
	25497: "X25519Kyber768Draft00",
	25498: "SecP256r1Kyber768Draft00",
	65281: "arbitrary_explicit_prime_curves",
	65282: "arbitrary_explicit_char2_curves",
}, grease16[Group]()...)

// A SignatureScheme is a signature algorithm. It has the name in IANA's registry "TLS
// SignatureScheme", such as "rsa_pss_rsae_sha256".
type SignatureScheme uint16

// String returns the name, or 0x and hexadecimal digits if there is none.
func (s SignatureScheme) String() string { return schemeNames.name(s) }

// MarshalText returns the same text as String.
func (s SignatureScheme) MarshalText() ([]byte, error) { return schemeNames.marshal(s) }

// UnmarshalText reads what MarshalText writes, and any number as 0x and hexadecimal digits.
func (s *SignatureScheme) UnmarshalText(text []byte) error { return schemeNames.unmarshal(text, s) }

// schemeNames names the pairs of hash and signature of TLS 1.2 (RFC 5246, Section
// 7.4.1.4.1) that have no name in TLS 1.3 in the manner of those that have.
var schemeNames = newRegistry("signature scheme", map[SignatureScheme]string{
	0x0101: "rsa_pkcs1_md5",
	0x0201: "rsa_pkcs1_sha1",
	0x0202: "dsa_sha1",
	0x0203: "ecdsa_sha1",
	0x0301: "rsa_pkcs1_sha224",
	0x0302: "dsa_sha224",
	0x0303: "ecdsa_sha224",
	0x0401: "rsa_pkcs1_sha256",
	0x0402: "dsa_sha256",
	0x0403: "ecdsa_secp256r1_sha256",
	0x0420: "rsa_pkcs1_sha256_legacy",
	0x0501: "rsa_pkcs1_sha384",
	0x0502: "dsa_sha384",
	0x0503: "ecdsa_secp384r1_sha384",
	0x0520: "rsa_pkcs1_sha384_legacy",
	0x0601: "rsa_pkcs1_sha512",
	0x0602: "dsa_sha512",
	0x0603: "ecdsa_secp521r1_sha512",
	0x0620: "rsa_pkcs1_sha512_legacy",
	0x0704: "eccsi_sha256",
	0x0705: "iso_ibs1",
	0x0706: "iso_ibs2",
	0x0707: "iso_chinese_ibs",
	0x0708: "sm2sig_sm3",
	0x0709: "gostr34102012_256a",
	0x070a: "gostr34102012_256b",
	0x070b: "gostr34102012_256c",
	0x070c: "gostr34102012_256d",
	0x070d: "gostr34102012_512a",
	0x070e: "gostr34102012_512b",
	0x070f: "gostr34102012_512c",
	0x0804: "rsa_pss_rsae_sha256",
	0x0805: "rsa_pss_rsae_sha384",
	0x0806: "rsa_pss_rsae_sha512",
	0x0807: "ed25519",
	0x0808: "ed448",
	0x0809: "rsa_pss_pss_sha256",
	0x080a: "rsa_pss_pss_sha384",
	0x080b: "rsa_pss_pss_sha512",
	0x081a: "ecdsa_brainpoolP256r1tls13_sha256",
	0x081b: "ecdsa_brainpoolP384r1tls13_sha384",
	0x081c: "ecdsa_brainpoolP512r1tls13_sha512",
	0x0904: "mldsa44",
	0x0905: "mldsa65",
	0x0906: "mldsa87",
}, grease16[SignatureScheme]()...)

// A PSKMode is a PSK key exchange mode (RFC 8446, Section 4.2.9), such as "psk_dhe_ke".
type PSKMode uint8

// String returns the name, or 0x and hexadecimal digits if there is none.
func (p PSKMode) String() string { return pskModeNames.name(p) }

// MarshalText returns the same text as String.
func (p PSKMode) MarshalText() ([]byte, error) { return pskModeNames.marshal(p) }

// UnmarshalText reads what MarshalText writes, and any number as 0x and hexadecimal digits.
func (p *PSKMode) UnmarshalText(text []byte) error { return pskModeNames.unmarshal(text, p) }

// pskModeNames has one-byte GREASE values (RFC 8701, Section 2).
var pskModeNames = newRegistry("PSK key exchange mode", map[PSKMode]string{
	0: "psk_ke",
	1: "psk_dhe_ke",
}, 0x0b, 0x2a, 0x49, 0x68, 0x87, 0xa6, 0xc5, 0xe4)

// An AlertDescription is the description of an alert. It has the name in IANA's registry
// "TLS Alerts" (RFC 8446, Section 6), such as "unknown_ca".
type AlertDescription uint8

// String returns the name, or 0x and hexadecimal digits if there is none.
func (a AlertDescription) String() string { return alertNames.name(a) }

// MarshalText returns the same text as String.
func (a AlertDescription) MarshalText() ([]byte, error) { return alertNames.marshal(a) }

// UnmarshalText reads what MarshalText writes, and any number as 0x and hexadecimal digits.
func (a *AlertDescription) UnmarshalText(text []byte) error { return alertNames.unmarshal(text, a) }

var alertNames = newRegistry("alert", map[AlertDescription]string{
	0:   "close_notify",
	10:  "unexpected_message",
	20:  "bad_record_mac",
	21:  "decryption_failed",
	22:  "record_overflow",
	30:  "decompression_failure",
	40:  "handshake_failure",
	41:  "no_certificate",
	42:  "bad_certificate",
	43:  "unsupported_certificate",
	44:  "certificate_revoked",
	45:  "certificate_expired",
	46:  "certificate_unknown",
	47:  "illegal_parameter",
	48:  "unknown_ca",
	49:  "access_denied",
	50:  "decode_error",
	51:  "decrypt_error",
	52:  "too_many_cids_requested",
	60:  "export_restriction",
	70:  "protocol_version",
	71:  "insufficient_security",
	80:  "internal_error",
	86:  "inappropriate_fallback",
	90:  "user_canceled",
	100: "no_renegotiation",
	109: "missing_extension",
	110: "unsupported_extension",
	111: "certificate_unobtainable",
	112: "unrecognized_name",
	113: "bad_certificate_status_response",
	114: "bad_certificate_hash_value",
	115: "unknown_psk_identity",
	116: "certificate_required",
	120: "no_application_protocol",
	121: "ech_required",
})
