package sessionticket

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"testing"
)

// Encrypted Client Hello is the server's config as ever; the ticket is held too.
func TestEncryptedClientHello(t *testing.T) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	config := echConfig(key.PublicKey().Bytes())
	server, client := changed(t, func(base *tls.Config) {
		base.MinVersion = tls.VersionTLS13
		base.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{{Config: config, PrivateKey: key.Bytes()}}
	})
	client.MinVersion = tls.VersionTLS13
	client.EncryptedClientHelloConfigList = sized16(config)
	for _, resumed := range []bool{false, true} {
		got, err := state(t, server, client)
		if err != nil || !got.ECHAccepted || got.DidResume != resumed {
			t.Errorf("accepted %v, resumed %v, error %v", got.ECHAccepted, got.DidResume, err)
		}
	}
}

// echConfig is an ECHConfig (RFC 9849, Section 4) with one X25519 key, for HKDF-SHA256
// and AES-128-GCM.
func echConfig(public []byte) []byte {
	key := bytes.Join([][]byte{
		{7},          // config_id
		{0x00, 0x20}, // kem_id: DHKEM(X25519, HKDF-SHA256)
		sized16(public),
		sized16([]byte{0, 1, 0, 1}), // kdf_id, aead_id
	}, nil)
	name := "public.example"
	contents := bytes.Join([][]byte{
		key,
		{0},                             // maximum_name_length
		{byte(len(name))}, []byte(name), // public_name
		sized16(nil), // extensions
	}, nil)
	return append([]byte{0xfe, 0x0d}, sized16(contents)...)
}

// sized16 puts the length of b before it, in two bytes.
func sized16(b []byte) []byte {
	return append([]byte{byte(len(b) >> 8), byte(len(b))}, b...)
}
