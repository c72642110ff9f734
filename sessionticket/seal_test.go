package sessionticket

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"
	"sync"
	"testing"

	"postern/internal/tlsrecord"
)

// Labels of the NSS key log format.
const (
	clientHandshakeSecret = "CLIENT_HANDSHAKE_TRAFFIC_SECRET"
	clientTrafficSecret   = "CLIENT_TRAFFIC_SECRET_0"
)

// keyLog is a KeyLogWriter that remembers secrets by label.
type keyLog struct {
	mu      sync.Mutex
	secrets map[string][]byte
}

func (k *keyLog) Write(line []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if fields := strings.Fields(string(line)); len(fields) == 3 {
		if k.secrets == nil {
			k.secrets = make(map[string][]byte)
		}
		k.secrets[fields[0]], _ = hex.DecodeString(fields[2])
	}
	return len(line), nil
}

// sealer encrypts records as a client would (RFC 8446, Section 5.2).
type sealer struct {
	aead cipher.AEAD
	iv   []byte
}

// sealer returns the sealer for the secret of that label, for an AES suite.
func (k *keyLog) sealer(t *testing.T, label string) *sealer {
	t.Helper()
	k.mu.Lock()
	secret := k.secrets[label]
	k.mu.Unlock()
	newHash, keyLen := sha256.New, 16
	switch len(secret) {
	case sha256.Size:
	case sha512.Size384:
		newHash, keyLen = sha512.New384, 32
	default:
		t.Fatalf("key log has %d bytes of %s", len(secret), label)
	}
	block, err := aes.NewCipher(expandLabel(t, newHash, secret, "key", keyLen))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return &sealer{aead, expandLabel(t, newHash, secret, "iv", aead.NonceSize())}
}

// expandLabel is HKDF-Expand-Label without a context (RFC 8446, Section 7.1).
func expandLabel(t *testing.T, newHash func() hash.Hash, secret []byte, label string, n int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := string([]byte{byte(n >> 8), byte(n), byte(len(label))}) + label + "\x00"
	out, err := hkdf.Expand(newHash, secret, info, n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// nonce is that of record number seq (RFC 8446, Section 5.3).
func (s *sealer) nonce(seq uint64) []byte {
	nonce := bytes.Clone(s.iv)
	last := nonce[len(nonce)-8:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^seq)
	return nonce
}

// seal returns a record with content and its type behind it.
func (s *sealer) seal(seq uint64, content []byte) []byte {
	n := len(content) + s.aead.Overhead()
	header := []byte{tlsrecord.ApplicationData, 3, 3, byte(n >> 8), byte(n)}
	return s.aead.Seal(header, s.nonce(seq), content, header)
}

// open is the reverse of seal.
func (s *sealer) open(t *testing.T, seq uint64, record []byte) []byte {
	t.Helper()
	header, body := record[:tlsrecord.HeaderLen], record[tlsrecord.HeaderLen:]
	content, err := s.aead.Open(nil, s.nonce(seq), body, header)
	if err != nil {
		t.Fatalf("record %d of %d bytes does not open; these tests need a CPU with AES, else crypto/tls chooses ChaCha20: %v", seq, len(record), err)
	}
	return content
}
