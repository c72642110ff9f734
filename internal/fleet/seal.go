package fleet

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"golang.org/x/crypto/chacha20poly1305"
)

// A sealer encrypts what hosts share, so that NATS and who runs it can neither read nor change it.
// They can withhold a value, or put back an older one of the same name; what is shared has an order
// of its own for that.
type sealer struct {
	aead  cipher.AEAD
	names []byte // key of the names
}

// sealedVersion begins each value before it is sealed. Another one is of a newer Postern. How a value is
// sealed does not change, so that only who has the secret can make a host wait for its upgrade.
const sealedVersion = 1

// newSealer derives the keys for a fleet with that prefix from its secret (HKDF, RFC 5869).
func newSealer(secret []byte, prefix string) (*sealer, error) {
	derive := func(use string) []byte {
		key, err := hkdf.Key(sha256.New, secret, nil, "postern fleet "+prefix+": "+use, chacha20poly1305.KeySize)
		if err != nil {
			panic(err) // the size is right
		}
		return key
	}
	aead, err := chacha20poly1305.NewX(derive("values"))
	if err != nil {
		return nil, err
	}
	return &sealer{aead: aead, names: derive("names")}, nil
}

// seal encrypts a value that is stored under name, and can be opened under that name only. The nonce
// has 24 random bytes, enough for any number of values.
func (s *sealer) seal(name string, value []byte) []byte {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+1+len(value)+s.aead.Overhead())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, append([]byte{sealedVersion}, value...), []byte(name))
}

var (
	errSecret = errors.New("was not written with this secret-file")
	errNewer  = errors.New("was written by a newer version of Postern")
)

// open decrypts what seal returned.
func (s *sealer) open(name string, sealed []byte) ([]byte, error) {
	size := s.aead.NonceSize()
	if len(sealed) < size {
		return nil, errSecret
	}
	value, err := s.aead.Open(nil, sealed[:size], sealed[size:], []byte(name))
	switch {
	case err != nil || len(value) == 0:
		return nil, errSecret
	case value[0] != sealedVersion:
		return nil, errNewer
	}
	return value[1:], nil
}

// name returns a name that hides what it is made from, such as a sender's network.
func (s *sealer) name(from string) string {
	mac := hmac.New(sha256.New, s.names)
	mac.Write([]byte(from))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
