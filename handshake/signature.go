package handshake

// A SignatureScheme is the number of a signature algorithm. It is named as in IANA's
// registry "TLS SignatureScheme", "rsa_pss_rsae_sha256".
type SignatureScheme uint16

// String is the name; of a number without one, 0x and its digits.
func (s SignatureScheme) String() string { return schemeNames.name(s) }

// MarshalText gives what String does.
func (s SignatureScheme) MarshalText() ([]byte, error) { return schemeNames.marshal(s) }

// UnmarshalText takes what MarshalText gives, and every number as 0x and digits.
func (s *SignatureScheme) UnmarshalText(text []byte) error { return schemeNames.unmarshal(text, s) }

// schemeNames names the pairs of hash and signature of TLS 1.2 (RFC 5246, Section 7.4.1.4.1)
// that have no name in TLS 1.3 in the same manner.
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
