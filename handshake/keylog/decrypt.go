package keylog

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"

	"postern/handshake"
	"postern/internal/tlsrecord"
)

// Opener returns what opens the records of a session of TLS 1.3 or 1.2, with the secrets that
// l has when a record passes. It returns nil for suites that are not supported and for other
// versions.
//
// It implements [handshake.Keys].
func (l *Log) Opener(session handshake.Session) handshake.Opener {
	secret := func(of label) []byte { return l.secret(session.ClientRandom, of) }
	if suite, ok := suitesTLS12[session.Suite]; ok && session.Version == tls.VersionTLS12 {
		return &openerTLS12{session: session, suite: suite, secret: secret}
	}
	suite, ok := suites[session.Suite]
	if !ok || session.Version != tls.VersionTLS13 {
		return nil
	}
	return &opener{
		client: direction{suite: suite, secret: secret, next: []label{clientHandshake, clientApplication}},
		server: direction{suite: suite, secret: secret, next: []label{serverHandshake, serverApplication}},
	}
}

// An opener opens the records of one connection.
type opener struct{ client, server direction }

// Open implements [handshake.Opener]. It finds the key by trial and ignores the epoch,
// which lags behind if a capture lacks a Finished.
func (o *opener) Open(from handshake.Side, _ int, record []byte) (content []byte, contentType byte, ok bool) {
	if from == handshake.Client {
		return o.client.open(record)
	}
	return o.server.open(record)
}

// A direction opens the records of one side. The keys change during the handshake, as
// encrypted records say that may be missing in a recording. So a record that the current
// key does not open is tried with the keys that may follow. Early data is not opened: no
// mail protocol has any.
type direction struct {
	suite  suite
	secret func(label) []byte
	next   []label // of the keys to come, in order (RFC 8446, Section 7.1)
	key    *key
}

// maxSkipped is how many consecutive records of a key a recording may lack.
const maxSkipped = 8

// A candidate is a key that the next record may be encrypted with, and those after it.
type candidate struct {
	key  *key
	next []label
}

// open returns the content of a record, given with its header, and its content type.
func (d *direction) open(record []byte) (content []byte, contentType byte, ok bool) {
	if len(record) < tlsrecord.HeaderLen || len(record) > tlsrecord.HeaderLen+tlsrecord.MaxCiphertext {
		return nil, 0, false
	}
	if d.key != nil {
		if inner, ok := d.key.open(record, 0); ok {
			return unpad(inner)
		}
	}
	candidates := d.candidates()
	for skipped := range maxSkipped + 1 {
		for _, c := range candidates {
			if inner, ok := c.key.open(record, uint64(skipped)); ok {
				d.key, d.next = c.key, c.next
				return unpad(inner)
			}
		}
	}
	return nil, 0, false
}

func (d *direction) candidates() (list []candidate) {
	if d.key != nil {
		list = append(list, candidate{d.key, d.next})
	}
	for i, label := range d.next {
		if k := newKey(d.suite, d.secret(label)); k != nil {
			list = append(list, candidate{k, d.next[i+1:]})
		}
	}
	if d.key != nil && len(d.next) == 0 {
		list = append(list, candidate{d.key.updated(), nil})
	}
	return list
}

// unpad splits a TLSInnerPlaintext into content and type (RFC 8446, Section 5.4).
func unpad(inner []byte) (content []byte, contentType byte, ok bool) {
	inner = bytes.TrimRight(inner, "\x00")
	if len(inner) == 0 {
		return nil, 0, false
	}
	return inner[:len(inner)-1], inner[len(inner)-1], true
}

// A suite is how a cipher suite of TLS 1.3 protects records (RFC 8446, Appendix B.4).
type suite struct {
	keyLen int
	hash   func() hash.Hash
	aead   func(key []byte) (cipher.AEAD, error)
}

// suites are those of RFC 8446 without the two of CCM, which the standard library lacks
// and no mail server is known to choose.
var suites = map[handshake.Suite]suite{
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

// newKey derives a key from its traffic secret (RFC 8446, Section 7.3). It returns nil if
// the secret is not as long as the suite's hash.
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

// updated returns the key after a KeyUpdate (RFC 8446, Section 7.2).
func (k *key) updated() *key {
	return newKey(k.suite, expandLabel(k.suite.hash, k.secret, "traffic upd", len(k.secret)))
}

// open returns the TLSInnerPlaintext of a record, given with its header, if it follows
// the last one opened after the given number of skipped records (RFC 8446, Sections 5.2
// and 5.3).
func (k *key) open(record []byte, skipped uint64) (inner []byte, ok bool) {
	nonce := bytes.Clone(k.iv)
	for i := range 8 {
		nonce[len(nonce)-1-i] ^= byte((k.seq + skipped) >> (8 * i))
	}
	inner, err := k.aead.Open(nil, nonce, record[tlsrecord.HeaderLen:], record[:tlsrecord.HeaderLen])
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
