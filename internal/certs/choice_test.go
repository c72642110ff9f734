package certs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/certs"
	"postern/internal/testcert"
)

var silent = slog.New(slog.DiscardHandler)

// made returns a new pair for names.
func made(t *testing.T, rsa bool, names ...string) certs.Pair {
	p := testcert.New(t, testcert.Options{Names: names, RSA: rsa})
	return certs.Pair{CertFile: p.CertFile, KeyFile: p.KeyFile}
}

func open(t *testing.T, pairs ...certs.Pair) *certs.Store {
	t.Helper()
	store, err := certs.Open(pairs, new(certs.Files), silent)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// shown completes a handshake and returns the certificate that the client got, as its
// first name and kind of key.
func shown(t *testing.T, store *certs.Store, client *tls.Config, wrap func(net.Conn) net.Conn) (string, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go func() {
		server := tls.Server(ours, &tls.Config{GetCertificate: store.GetCertificate})
		server.Handshake()
		ours.Close()
	}()
	client.InsecureSkipVerify = true
	conn := tls.Client(wrap(theirs), client)
	if err := conn.Handshake(); err != nil {
		return "", err
	}
	leaf := conn.ConnectionState().PeerCertificates[0]
	return leaf.DNSNames[0] + " " + leaf.PublicKeyAlgorithm.String(), nil
}

func asIs(c net.Conn) net.Conn { return c }

func TestClientGetsCertificateForName(t *testing.T) {
	store := open(t,
		made(t, false, "mx.example.org"),
		made(t, true, "mx.example.org"),
		made(t, false, "*.example.net"),
		made(t, false, "mx.example.net"),
		made(t, true, "rsa.example.com"),
		made(t, false, "ecdsa.example.com"),
	)
	for _, tt := range []struct {
		name string
		want string
	}{
		{"mx.example.org", "mx.example.org ECDSA"},
		{"MX.Example.ORG", "mx.example.org ECDSA"},
		{"mx.example.net", "mx.example.net ECDSA"},
		{"other.example.net", "*.example.net ECDSA"},
		{"rsa.example.com", "rsa.example.com RSA"},

		{"", "mx.example.org ECDSA"},
		{"two.levels.example.net", "mx.example.org ECDSA"},
		{"example.net", "mx.example.org ECDSA"},
		{"unknown.example", "mx.example.org ECDSA"},
		{"under_score.example", "mx.example.org ECDSA"},
		{"localhost", "mx.example.org ECDSA"},
		{"*", "mx.example.org ECDSA"},
		{"not a host name", "mx.example.org ECDSA"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := shown(t, store, &tls.Config{ServerName: tt.name}, asIs)
			if got != tt.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestClientGetsKindOfKeyItSupports(t *testing.T) {
	both := open(t,
		made(t, false, "mx.example.org"), made(t, true, "mx.example.org"),
		made(t, false, "ecdsa.example.org"))
	rsaOnly := &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	ecdsaOnly := &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
	for _, tt := range []struct {
		name   string
		client *tls.Config
		server string
		want   string
	}{
		{"RSA", rsaOnly, "mx.example.org", "mx.example.org RSA"},
		{"ECDSA", ecdsaOnly, "mx.example.org", "mx.example.org ECDSA"},
		{"RSA, no name", rsaOnly, "", "mx.example.org RSA"},
		{"RSA, unknown name", rsaOnly, "unknown.example", "mx.example.org RSA"},
		// The wrong name beats a handshake that fails.
		{"RSA, name has ECDSA alone", rsaOnly, "ecdsa.example.org", "mx.example.org RSA"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client := tt.client.Clone()
			client.ServerName = tt.server
			got, err := shown(t, both, client, asIs)
			if got != tt.want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// Thousands of certificates cost a client no more than two: one of each kind of key is
// tried.
func TestClientIsComparedWithEachKindOfKeyOnce(t *testing.T) {
	pairs := make([]certs.Pair, 100)
	for i := range pairs {
		pairs[i] = made(t, false, "mx.example.org", fmt.Sprintf("mx%d.example.org", i))
	}
	few, many := open(t, pairs[0], made(t, true, "rsa.example.org")), open(t, append(pairs, made(t, true, "rsa.example.org"))...)
	rsaOnly := &tls.ClientHelloInfo{
		ServerName:        "mx.example.org",
		SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes:  []tls.SignatureScheme{tls.PSSWithSHA256},
	}
	cost := func(store *certs.Store) float64 {
		return testing.AllocsPerRun(10, func() {
			cert, err := store.GetCertificate(rsaOnly)
			if err != nil || cert.Leaf.DNSNames[0] != "rsa.example.org" {
				t.Fatalf("got %v, %v", cert.Leaf.DNSNames, err)
			}
		})
	}
	if few, many := cost(few), cost(many); many > few {
		t.Errorf("%v allocations among 101 certificates, %v among 2", many, few)
	}
}

// A client of TLS 1.3 that knows one curve, or whose signature schemes need a longer key.
func TestKindsOfKeyDifferInCurveAndLength(t *testing.T) {
	p256, p384 := withKey(t, "p256", elliptic.P256()), withKey(t, "p384", elliptic.P384())
	store := open(t, p256, p384, made(t, true, "rsa"))
	for scheme, want := range map[tls.SignatureScheme]string{
		tls.ECDSAWithP256AndSHA256: "p256",
		tls.ECDSAWithP384AndSHA384: "p384",
		tls.PSSWithSHA256:          "rsa",
	} {
		cert, err := store.GetCertificate(&tls.ClientHelloInfo{
			SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{scheme},
		})
		if err != nil || cert.Leaf.DNSNames[0] != want {
			t.Errorf("%v: got %v, %v, want %s", scheme, cert.Leaf.DNSNames, err, want)
		}
	}
}

// withKey returns a pair with an ECDSA key of a curve.
func withKey(t *testing.T, name string, curve elliptic.Curve) certs.Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pair.pem")
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return certs.Pair{CertFile: file, KeyFile: file}
}

// If no certificate suits, crypto/tls sends the alert.
func TestClientThatSupportsNoKindOfKeyGetsAlert(t *testing.T) {
	store := open(t, made(t, false, "mx.example.org"))
	client := &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	_, err := shown(t, store, client, asIs)
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		t.Errorf("got %v, want an alert", err)
	}
}

// crypto/tls clients send no IP address as a name. Others do.
func TestAddressAsServerNameGetsDefault(t *testing.T) {
	store := open(t, made(t, false, "mx.example.org"), made(t, false, "192.0.2.1", "other.example.org"))
	cert, err := store.GetCertificate(hello("192.0.2.7"))
	if err != nil || cert != store.Certificates()[0] {
		t.Errorf("got %v, %v, want the first certificate", cert.Leaf.DNSNames, err)
	}
}

// See the package comment and docs/known-issues.md. If this fails, crypto/tls
// accepts the name: remove the limit from both.
func TestNameWithFinalDotIsRefusedByCryptoTLS(t *testing.T) {
	store := open(t, made(t, false, "mx.example.org"))
	_, err := shown(t, store, &tls.Config{ServerName: "mx.example.org-"}, func(c net.Conn) net.Conn {
		return &rename{c, "mx.example.org-", "mx.example.org."}
	})
	if err == nil || err.Error() != "remote error: tls: error decoding message" {
		t.Errorf("got %v, want the alert decode_error", err)
	}
}

// rename changes the name in the ClientHello on its way.
type rename struct {
	net.Conn
	from, to string
}

func (r *rename) Write(p []byte) (int, error) {
	return r.Conn.Write(bytes.Replace(p, []byte(r.from), []byte(r.to), 1))
}

// hello is the ClientHello of a current client.
func hello(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{
		ServerName:        name,
		SupportedVersions: []uint16{tls.VersionTLS13},
		SignatureSchemes:  []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256},
	}
}

// TLSA records are made for the certificates that clients get.
func TestForNameReturnsOneCertificateOfEachKindOfKey(t *testing.T) {
	store := open(t,
		made(t, false, "other.example.net"),
		made(t, false, "mx.example.org"),
		made(t, false, "*.example.org"),
		made(t, true, "*.example.org"),
	)
	for name, want := range map[string]string{
		"MX.example.org":    "mx.example.org ECDSA, *.example.org RSA",
		"www.example.org":   "*.example.org ECDSA, *.example.org RSA",
		"other.example.net": "other.example.net ECDSA, *.example.org RSA",
		"unknown.example":   "other.example.net ECDSA, *.example.org RSA",
	} {
		var got []string
		for _, cert := range certs.ForName(name, store.Certificates()) {
			got = append(got, cert.Leaf.DNSNames[0]+" "+cert.Leaf.PublicKeyAlgorithm.String())
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: got %v, want %s", name, got, want)
		}
	}
}
