package keylog

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"postern/handshake"
	"postern/internal/testcert"
	"postern/internal/tlsrecord"
)

// A crypto/tls server answers a KeyUpdate with its own and continues with new keys, which
// a key log does not have (RFC 8446, Section 7.2): the opener derives them.
func TestRecordsAfterKeyUpdateOpen(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	near, far := net.Pipe()
	go echo(tls.Server(far, &tls.Config{Certificates: []tls.Certificate{pair.TLS}}))
	keys := new(Log)
	client := tls.Client(near, &tls.Config{RootCAs: pair.Pool, ServerName: "localhost", KeyLogWriter: keys})
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	var session handshake.Session
	for random := range keys.connections {
		session = handshake.Session{ClientRandom: random, Version: tls.VersionTLS13, Suite: handshake.Suite(client.ConnectionState().CipherSuite)}
	}
	own := newKey(suites[session.Suite], keys.secret(session.ClientRandom, clientApplication))
	askForUpdate := []byte{24, 0, 0, 1, 1, 22}
	go func() {
		near.Write(seal(own, askForUpdate))
		near.Write(seal(own.updated(), []byte{'x', 23}))
	}()

	opener := keys.Opener(session)
	for _, want := range []struct {
		content string
		kind    byte
	}{{"\x18\x00\x00\x01\x00", 22}, {"x", 23}} {
		content, kind, ok := opener.Open(handshake.Server, 0, readRecord(t, near))
		if !ok || string(content) != want.content || kind != want.kind {
			t.Errorf("opened %q, %d, %v; want %q, %d", content, kind, ok, want.content, want.kind)
		}
	}
}

func echo(conn *tls.Conn) { io.Copy(conn, conn) }

// seal returns the next record under k.
func seal(k *key, inner []byte) []byte {
	header := tlsrecord.AppendHeader(nil, tlsrecord.ApplicationData, len(inner)+k.aead.Overhead())
	nonce := append([]byte(nil), k.iv...)
	nonce[len(nonce)-1] ^= byte(k.seq)
	k.seq++
	return k.aead.Seal(header, nonce, inner, header)
}

func readRecord(t *testing.T, r io.Reader) []byte {
	t.Helper()
	header := make([]byte, tlsrecord.HeaderLen)
	if _, err := io.ReadFull(r, header); err != nil {
		t.Fatal(err)
	}
	record := append(header, make([]byte, tlsrecord.Length(header))...)
	if _, err := io.ReadFull(r, record[tlsrecord.HeaderLen:]); err != nil {
		t.Fatal(err)
	}
	return record
}

// The record after a failed Open must still open.
func TestFailedOpenChangesNothing(t *testing.T) {
	keys := new(Log)
	secret := make([]byte, 32)
	keys.connections = map[random]*secrets{{}: {serverHandshake: secret, serverApplication: secret}}
	opener := keys.Opener(handshake.Session{Version: tls.VersionTLS13, Suite: 0x1301})
	k := newKey(suites[0x1301], secret)
	for i := range 3 {
		good := seal(k, []byte{byte(i), 22})
		for _, bad := range [][]byte{nil, good[:4], good[:len(good)-1], make([]byte, tlsrecord.HeaderLen+tlsrecord.MaxCiphertext+1)} {
			if _, _, ok := opener.Open(handshake.Server, 0, bad); ok {
				t.Errorf("opened %x", bad)
			}
		}
		if content, kind, ok := opener.Open(handshake.Server, 0, good); !ok || kind != 22 || content[0] != byte(i) {
			t.Errorf("record %d: %x, %d, %v", i, content, kind, ok)
		}
	}
}

// A capture that lacks packets also lacks records.
func TestRecordsAfterMissingOnesOpen(t *testing.T) {
	keys := new(Log)
	first, second := make([]byte, 32), append(make([]byte, 31), 1)
	keys.connections = map[random]*secrets{{}: {clientHandshake: first, clientApplication: second}}
	opener := keys.Opener(handshake.Session{Version: tls.VersionTLS13, Suite: 0x1301})
	handshakeKey, dataKey := newKey(suites[0x1301], first), newKey(suites[0x1301], second)
	for _, k := range []*key{handshakeKey, dataKey, dataKey} {
		for range maxSkipped {
			seal(k, nil)
		}
		if _, kind, ok := opener.Open(handshake.Client, 0, seal(k, []byte{22})); !ok || kind != 22 {
			t.Errorf("record %d of its key: %d, %v", k.seq, kind, ok)
		}
	}
	for range maxSkipped + 1 {
		seal(dataKey, nil)
	}
	if _, _, ok := opener.Open(handshake.Client, 0, seal(dataKey, []byte{22})); ok {
		t.Error("a record opens after more than are tried")
	}
}
