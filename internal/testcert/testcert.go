// Package testcert makes the certificates that tests and benchmarks serve TLS with.
//
//	pair := testcert.New(t, testcert.Options{Names: []string{"localhost", "127.0.0.1"}})
//	server := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
//	client := &tls.Config{RootCAs: pair.Pool, ServerName: "localhost"}
//
// Each pair is new, lies in a private temporary folder as two PEM files, and is
// gone when the test ends. Nothing here is fit for anything but tests.
package testcert

import (
	"crypto/tls"
	"crypto/x509"
	"path/filepath"
	"time"
)

// defaultLife is how long a certificate is valid when [Options.NotAfter] is zero.
const defaultLife = 24 * time.Hour

// T is the part of [testing.TB] that this package needs, so that a program that
// is not a test can give its own.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	TempDir() string
}

// Options says what certificate to make. The zero value is a self-signed ECDSA
// P-256 certificate for localhost, 127.0.0.1 and ::1 that is valid for a day.
type Options struct {
	// Names are the subject alternative names: host names, wildcards
	// ("*.example.org") or IP addresses. The first is the common name too.
	Names []string
	// RSA asks for an RSA key of 2048 bits instead of ECDSA P-256.
	RSA bool
	// NotAfter is the end of validity; one in the past makes an expired certificate.
	NotAfter time.Time
	// CA signs the certificate; nil makes a self-signed one.
	CA *CA
}

// Pair is a certificate with its private key.
type Pair struct {
	// CertFile is the path of the certificate chain, PEM, leaf first, without the CA's certificate.
	CertFile string
	// KeyFile is the path of the private key, PKCS #8 in PEM, readable by its owner alone.
	KeyFile string
	// TLS is the same pair for [tls.Config].
	TLS tls.Certificate
	// Pool holds what a client must trust to accept the pair: the certificate
	// itself when self-signed, else the CA's.
	Pool *x509.CertPool
}

// New makes the pair that o asks for and writes its files. It ends the test
// with t.Fatalf if it cannot.
//
// New is safe for concurrent use if t is.
func New(t T, o Options) *Pair {
	t.Helper()
	if len(o.Names) == 0 {
		o.Names = []string{"localhost", "127.0.0.1", "::1"}
	}
	key := newKey(t, o.RSA)
	cert := sign(t, leafTemplate(o), key, o.CA)

	dir := t.TempDir()
	p := &Pair{
		CertFile: filepath.Join(dir, "cert.pem"),
		KeyFile:  filepath.Join(dir, "key.pem"),
		TLS:      tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert},
		Pool:     x509.NewCertPool(),
	}
	p.Pool.AddCert(trustAnchor(cert, o.CA))
	writePEM(t, p.CertFile, "CERTIFICATE", cert.Raw)
	writePEM(t, p.KeyFile, "PRIVATE KEY", marshalKey(t, key))
	return p
}

// trustAnchor is the certificate that a client of leaf must hold.
func trustAnchor(leaf *x509.Certificate, ca *CA) *x509.Certificate {
	if ca != nil {
		return ca.cert
	}
	return leaf
}
