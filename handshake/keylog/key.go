package keylog

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"
)

// A suite is what a cipher suite of TLS 1.3 means for its records (RFC 8446, Appendix B.4).
type suite struct {
	keyLen int
	hash   func() hash.Hash
	aead   func(key []byte) (cipher.AEAD, error)
}

// suites are those of RFC 8446 without the two of CCM, which the standard library
// lacks and no mail server was seen to choose.
var suites = map[uint16]suite{
	0x1301: {16, sha256.New, newGCM},
	0x1302: {32, sha512.New384, newGCM},
	0x1303: {chacha20poly1305.KeySize, sha256.New, chacha20poly1305.New},
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// A key opens the records of one direction from one change of keys to the next.
type key struct {
	suite  suite
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64 // of the next record
}

// newKey derives a key from its traffic secret (RFC 8446, Section 7.3). It is nil
// if the secret is not as long as the suite's hash.
func newKey(s suite, secret []byte) *key {
	if len(secret) != s.hash().Size() {
		return nil
	}
	iv := expandLabel(s.hash, secret, "iv", chacha20poly1305.NonceSize)
	aead, err := s.aead(expandLabel(s.hash, secret, "key", s.keyLen))
	if err != nil {
		return nil
	}
	return &key{suite: s, secret: secret, aead: aead, iv: iv}
}

// updated is the key after a KeyUpdate (RFC 8446, Section 7.2).
func (k *key) updated() *key {
	return newKey(k.suite, expandLabel(k.suite.hash, k.secret, "traffic upd", len(k.secret)))
}

// open returns the TLSInnerPlaintext of a record, given with its header, if it is
// the next one under k but for so many (RFC 8446, Sections 5.2 and 5.3).
func (k *key) open(record []byte, skipped uint64) (inner []byte, ok bool) {
	nonce := append([]byte(nil), k.iv...)
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte((k.seq + skipped) >> (8 * i))
	}
	inner, err := k.aead.Open(nil, nonce, record[recordHeaderLen:], record[:recordHeaderLen])
	if err != nil {
		return nil, false
	}
	k.seq += skipped + 1
	return inner, true
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446, Section 7.1).
func expandLabel(h func() hash.Hash, secret []byte, label string, n int) []byte {
	var info cryptobyte.Builder
	info.AddUint16(uint16(n))
	info.AddUint8LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes([]byte("tls13 " + label)) })
	info.AddUint8(0)
	out, err := hkdf.Expand(h, secret, string(info.BytesOrPanic()), n)
	if err != nil {
		panic(err) // only for lengths beyond 255 hashes, and secrets too short in FIPS 140 mode
	}
	return out
}
