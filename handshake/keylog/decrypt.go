package keylog

import (
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

// Opener returns what opens the records of a session of TLS 1.3, as far as its
// secrets are in l when a record passes, or nil for another version and for suites
// that are not read. Before TLS 1.3 no key is needed to name the messages: those of
// the handshake are in the clear, and Finished is the first that is not.
//
// It makes a Log [handshake.Keys].
func (l *Log) Opener(session handshake.Session) handshake.Opener {
	suite, ok := suites[session.Suite]
	if !ok || session.Version != tls.VersionTLS13 {
		return nil
	}
	secret := func(under label) []byte { return l.secret(session.ClientRandom, under) }
	return &opener{
		client: direction{suite: suite, secret: secret, ahead: clientLabels},
		server: direction{suite: suite, secret: secret, ahead: serverLabels},
	}
}

// An opener opens the records of one connection.
type opener struct{ client, server direction }

// Open is [handshake.Opener]. It finds the key by trying, not by the epoch that
// the caller counted: where a capture lacks a Finished, that is behind.
func (o *opener) Open(from handshake.Side, _ int, record []byte) (content []byte, contentType byte, ok bool) {
	if from == handshake.Client {
		return o.client.open(record)
	}
	return o.server.open(record)
}

// A direction opens the records of one side of a connection, which changes its
// keys as the handshake goes on. When it does is said inside encrypted records and
// may be missing in a recording, so a record that the present key does not open is
// tried with those that may follow.
type direction struct {
	suite  suite
	secret func(label) []byte
	ahead  []label // of the keys to come, in their order
	key    *key
}

// clientLabels and serverLabels are the keys of a side in their order (RFC 8446,
// Section 7.1). Early data is left closed: no mail protocol has any.
var (
	clientLabels = []label{clientHandshake, clientApplication}
	serverLabels = []label{serverHandshake, serverApplication}
)

// maxSkipped is how many records of a key a recording may lack one after the other.
const maxSkipped = 8

// A candidate is a key that the next record may be under, and those after it.
type candidate struct {
	key   *key
	ahead []label
}

// open returns the content of a record, given with its header, and its true type.
func (d *direction) open(record []byte) (content []byte, kind byte, ok bool) {
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
				d.key, d.ahead = c.key, c.ahead
				return unpad(inner)
			}
		}
	}
	return nil, 0, false
}

func (d *direction) candidates() (list []candidate) {
	if d.key != nil {
		list = append(list, candidate{d.key, d.ahead})
	}
	for i, label := range d.ahead {
		if k := newKey(d.suite, d.secret(label)); k != nil {
			list = append(list, candidate{k, d.ahead[i+1:]})
		}
	}
	if d.key != nil && len(d.ahead) == 0 {
		list = append(list, candidate{d.key.updated(), nil})
	}
	return list
}

// unpad parts a TLSInnerPlaintext into content and type (RFC 8446, Section 5.4).
func unpad(inner []byte) (content []byte, kind byte, ok bool) {
	for i := len(inner) - 1; i >= 0; i-- {
		if inner[i] != 0 {
			return inner[:i], inner[i], true
		}
	}
	return nil, 0, false
}

// A suite is what a cipher suite of TLS 1.3 means for its records (RFC 8446, Appendix B.4).
type suite struct {
	keyLen int
	hash   func() hash.Hash
	aead   func(key []byte) (cipher.AEAD, error)
}

// suites are those of RFC 8446 without the two of CCM, which the standard library
// lacks and no mail server was seen to choose.
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
