package testcert_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"postern/internal/testcert"
)

// handshake serves cert on loopback to a client that trusts pool and returns the client's error.
func handshake(t *testing.T, cert tls.Certificate, pool *x509.CertPool, name string) error {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(io.Discard, conn)
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: pool, ServerName: name})
	if err == nil {
		conn.Close()
	}
	return err
}

func TestPairServesItsNames(t *testing.T) {
	ca := testcert.NewCA(t)
	for _, tt := range []struct {
		name   string
		o      testcert.Options
		server string
	}{
		{"default", testcert.Options{}, "localhost"},
		{"address", testcert.Options{}, "127.0.0.1"},
		{"rsa", testcert.Options{RSA: true}, "localhost"},
		{"wildcard under a CA", testcert.Options{Names: []string{"*.example.org"}, CA: ca}, "mx.example.org"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pair := testcert.New(t, tt.o)
			if err := handshake(t, pair.TLS, pair.Pool, tt.server); err != nil {
				t.Errorf("handshake in memory: %v", err)
			}
			loaded, err := tls.LoadX509KeyPair(pair.CertFile, pair.KeyFile)
			if err != nil {
				t.Fatal(err)
			}
			if err := handshake(t, loaded, pair.Pool, tt.server); err != nil {
				t.Errorf("handshake from the files: %v", err)
			}
		})
	}
}

func TestClientRefusesWrongName(t *testing.T) {
	pair := testcert.New(t, testcert.Options{Names: []string{"mx.example.org"}})
	err := handshake(t, pair.TLS, pair.Pool, "mx.example.net")
	var hostname x509.HostnameError
	if !errors.As(err, &hostname) {
		t.Errorf("got %v, want x509.HostnameError", err)
	}
}

func TestClientRefusesExpired(t *testing.T) {
	pair := testcert.New(t, testcert.Options{NotAfter: time.Now().Add(-time.Hour)})
	err := handshake(t, pair.TLS, pair.Pool, "localhost")
	var invalid x509.CertificateInvalidError
	if !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("got %v, want an expired certificate", err)
	}
}

func TestCAFileIsTheTrustAnchor(t *testing.T) {
	ca := testcert.NewCA(t)
	pair := testcert.New(t, testcert.Options{CA: ca})
	pem, err := os.ReadFile(ca.File)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("the CA's file holds no certificate")
	}
	if err := handshake(t, pair.TLS, pool, "localhost"); err != nil {
		t.Error(err)
	}
}
