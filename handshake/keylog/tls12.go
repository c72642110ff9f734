package keylog

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"

	"postern/handshake"
	"postern/internal/tlsrecord"
)

// masterSecretLen is the length of the master secret (RFC 5246, Section 8.1).
const masterSecretLen = 48

// fixedIVLen is the part of a GCM nonce that does not come with each record (RFC 5288,
// Section 3).
const fixedIVLen = 4

// A suiteTLS12 is how an AEAD cipher suite of TLS 1.2 protects records.
type suiteTLS12 struct {
	suite
	ivLen int // fixedIVLen, or for ChaCha20-Poly1305 the whole nonce (RFC 7905, Section 2)
}

var (
	aes128GCM12 = suiteTLS12{suite{16, sha256.New, newGCM}, fixedIVLen}
	aes256GCM12 = suiteTLS12{suite{32, sha512.New384, newGCM}, fixedIVLen}
	chaCha12    = suiteTLS12{suite{chacha20poly1305.KeySize, sha256.New, chacha20poly1305.New}, chacha20poly1305.NonceSize}
)

// suitesTLS12 are those with RSA, DHE_RSA, ECDHE_ECDSA and ECDHE_RSA (RFC 5288, RFC 5289,
// RFC 7905).
var suitesTLS12 = map[handshake.Suite]suiteTLS12{
	0x009c: aes128GCM12, 0x009e: aes128GCM12, 0xc02b: aes128GCM12, 0xc02f: aes128GCM12,
	0x009d: aes256GCM12, 0x009f: aes256GCM12, 0xc02c: aes256GCM12, 0xc030: aes256GCM12,
	0xcca8: chaCha12, 0xcca9: chaCha12, 0xccaa: chaCha12,
}

// An openerTLS12 opens the records of a connection of TLS 1.2. Its keys do not change.
type openerTLS12 struct {
	session        handshake.Session
	suite          suiteTLS12
	secret         func(label) []byte
	client, server *keyTLS12 // nil until the secret is there
}

// Open implements [handshake.Opener].
func (o *openerTLS12) Open(from handshake.Side, _ int, record []byte) (content []byte, contentType byte, ok bool) {
	if len(record) < tlsrecord.HeaderLen || len(record) > tlsrecord.HeaderLen+tlsrecord.MaxCiphertextTLS12 {
		return nil, 0, false
	}
	if o.client == nil && !o.deriveKeys() {
		return nil, 0, false
	}
	key := o.server
	if from == handshake.Client {
		key = o.client
	}
	for skipped := range uint64(maxSkipped + 1) {
		if content, ok := key.open(record, skipped); ok {
			return content, record[0], true
		}
	}
	return nil, 0, false
}

// deriveKeys derives the keys of both directions from the master secret (RFC 5246,
// Section 6.3). AEAD suites have no MAC keys.
func (o *openerTLS12) deriveKeys() bool {
	master := o.secret(masterSecret)
	if len(master) != masterSecretLen {
		return false
	}
	seed := append(o.session.ServerRandom[:], o.session.ClientRandom[:]...)
	block := prf(o.suite.hash, master, "key expansion", seed, 2*(o.suite.keyLen+o.suite.ivLen))
	next := func(n int) (part []byte) {
		part, block = block[:n], block[n:]
		return part
	}
	clientKey, serverKey := next(o.suite.keyLen), next(o.suite.keyLen)
	clientIV, serverIV := next(o.suite.ivLen), next(o.suite.ivLen)
	client, err := o.suite.aead(clientKey)
	if err != nil {
		return false
	}
	server, err := o.suite.aead(serverKey)
	if err != nil {
		return false
	}
	o.client, o.server = &keyTLS12{aead: client, iv: clientIV}, &keyTLS12{aead: server, iv: serverIV}
	return true
}

// A keyTLS12 opens the records of one direction.
type keyTLS12 struct {
	aead cipher.AEAD
	iv   []byte
	seq  uint64 // of the next record
}

// open returns the content of a record, given with its header, if it follows the last one
// opened after the given number of skipped records (RFC 5246, Section 6.2.3.3).
func (k *keyTLS12) open(record []byte, skipped uint64) (content []byte, ok bool) {
	seq := binary.BigEndian.AppendUint64(nil, k.seq+skipped)
	body := record[tlsrecord.HeaderLen:]
	nonce := append([]byte(nil), k.iv...)
	if len(k.iv) == fixedIVLen {
		explicit := k.aead.NonceSize() - fixedIVLen
		if len(body) < explicit {
			return nil, false
		}
		nonce, body = append(nonce, body[:explicit]...), body[explicit:]
	} else {
		for i, b := range seq {
			nonce[len(nonce)-len(seq)+i] ^= b
		}
	}
	length := len(body) - k.aead.Overhead()
	if length < 0 {
		return nil, false
	}
	additional := binary.BigEndian.AppendUint16(append(seq, record[:3]...), uint16(length))
	content, err := k.aead.Open(nil, nonce, body, additional)
	if err != nil {
		return nil, false
	}
	k.seq += skipped + 1
	return content, true
}

// prf is the pseudorandom function of TLS 1.2 (RFC 5246, Section 5).
func prf(h func() hash.Hash, secret []byte, label string, seed []byte, n int) (out []byte) {
	seed = append([]byte(label), seed...)
	sum := func(parts ...[]byte) []byte {
		mac := hmac.New(h, secret)
		for _, part := range parts {
			mac.Write(part)
		}
		return mac.Sum(nil)
	}
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}
