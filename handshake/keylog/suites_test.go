package keylog_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"postern/handshake"
	"postern/handshake/keylog"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

var suites = []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}

// A client of crypto/tls writes its keys while it talks to an OpenSSL server, and
// each message is named. The server sends two tickets after the client's Finished.
func TestKeysOfARunningClientNameTheMessages(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			addr := testpeer.StartOpenSSL(t, pair.CertFile, pair.KeyFile, "-ciphersuites", suite)
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			keys := new(keylog.Log)
			c := &tap{Conn: conn, own: handshake.Client, peer: handshake.Server}
			config := &tls.Config{RootCAs: pair.Pool, ServerName: "localhost", KeyLogWriter: keys, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			exchange(t, tls.Client(c, config))
			check(t, c.transcript(keys),
				"client: ClientHello",
				"server: ServerHello EncryptedExtensions Certificate CertificateVerify Finished",
				"client: Finished ApplicationData",
				"server: NewSessionTicket NewSessionTicket ApplicationData",
				"client: Alert")
		})
	}
}

// exchange has a line reversed by the server, and closes.
func exchange(t *testing.T, conn *tls.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "abc\n"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4)
	if _, err := io.ReadFull(conn, line); err != nil || string(line) != "cba\n" {
		t.Fatalf("the server said %q, %v", line, err)
	}
	conn.Close()
}

// An OpenSSL client writes a key log file, and a server of crypto/tls sends its
// ticket early.
func TestKeyLogFileOfOpenSSLNamesTheMessages(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "keys")
			c := serveOpenSSL(t, new(tls.Config), "-ciphersuites", suite, "-keylogfile", file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			check(t, c.transcript(parse(t, string(text))),
				"client: ClientHello",
				"server: ServerHello EncryptedExtensions Certificate CertificateVerify Finished NewSessionTicket",
				"client: Finished ApplicationData",
				"server: ApplicationData Alert")
		})
	}
}
