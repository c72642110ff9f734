package certs_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"

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
	store, err := certs.Open(pairs, silent)
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
