// Package testcert makes certificates for tests, benchmarks and postern-lab.
//
//	pair := testcert.New(t, testcert.Options{Names: []string{"localhost", "127.0.0.1"}})
//	server := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
//	client := &tls.Config{RootCAs: pair.Pool, ServerName: "localhost"}
//
// Each pair is new, stored as two PEM files in a private temporary folder, and removed when the
// test ends. Use it for tests only.
package testcert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"time"
)

// defaultLife is how long a certificate is valid when [Options.NotAfter] is zero.
const defaultLife = 24 * time.Hour

// T is the part of [testing.TB] that this package needs, so that other programs than tests can
// implement it.
type T interface {
	Helper()
	Fatalf(format string, args ...any)
	TempDir() string
}

// Options are the properties of a certificate. The zero value is a self-signed ECDSA P-256
// certificate for localhost, 127.0.0.1 and ::1, valid for a day.
type Options struct {
	// Names are the subject alternative names: host names, wildcards
	// ("*.example.org") or IP addresses. The first is the common name too.
	Names []string
	// RSA asks for an RSA key of 2048 bits instead of ECDSA P-256.
	RSA bool
	// Key, if not nil, is used instead of a new one.
	Key crypto.Signer
	// NotAfter is the end of validity; one in the past makes an expired certificate.
	NotAfter time.Time
	// CA signs the certificate; nil makes a self-signed one.
	CA *CA
}

// A Pair is a certificate with its private key.
type Pair struct {
	// CertFile is the path of the certificate, PEM, without that of the CA.
	CertFile string
	// KeyFile is the path of the private key, PKCS #8 in PEM, readable by its owner only.
	KeyFile string
	// TLS is the same pair for [tls.Config].
	TLS tls.Certificate
	// Pool has the certificate that a client must trust: the certificate itself if it is
	// self-signed, else the CA's.
	Pool *x509.CertPool
}

// New makes a pair and writes its files. It calls t.Fatalf if it cannot.
//
// New is safe for concurrent use if t is.
func New(t T, o Options) *Pair {
	t.Helper()
	if len(o.Names) == 0 {
		o.Names = []string{"localhost", "127.0.0.1", "::1"}
	}
	key := o.Key
	if key == nil {
		key = newKey(t, o.RSA)
	}
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

// trustAnchor returns the certificate that a client must trust.
func trustAnchor(leaf *x509.Certificate, ca *CA) *x509.Certificate {
	if ca != nil {
		return ca.cert
	}
	return leaf
}

// rsaBits is the smallest RSA key that the OpenSSL of Debian accepts in a certificate.
const rsaBits = 2048

// leafTemplate returns the unsigned certificate.
func leafTemplate(o Options) *x509.Certificate {
	end := o.NotAfter
	if end.IsZero() {
		end = defaultEnd()
	}
	template := validUntil(end)
	template.Subject = pkix.Name{CommonName: o.Names[0]}
	template.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range o.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	return template
}

// validUntil returns a template that is valid from a day before now or before its end, whichever
// is earlier, so that an expired certificate was once valid.
func validUntil(end time.Time) *x509.Certificate {
	start := time.Now()
	if end.Before(start) {
		start = end
	}
	return &x509.Certificate{NotBefore: start.Add(-defaultLife), NotAfter: end}
}

func defaultEnd() time.Time { return time.Now().Add(defaultLife) }

// sign returns a certificate for key, issued by ca or self-signed if ca is nil.
func sign(t T, template *x509.Certificate, key crypto.Signer, ca *CA) *x509.Certificate {
	t.Helper()
	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.cert, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatalf("testcert: signing a certificate for %q: %v", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatalf("testcert: parsing the certificate for %q: %v", template.Subject.CommonName, err)
	}
	return cert
}

func newKey(t T, wantRSA bool) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if wantRSA {
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatalf("testcert: making a key: %v", err)
	}
	return key
}

func marshalKey(t T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("testcert: encoding a key: %v", err)
	}
	return der
}

// writePEM writes one PEM block, readable by its owner only, since servers refuse other keys.
func writePEM(t T, path, kind string, der []byte) {
	t.Helper()
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatalf("testcert: writing %s: %v", path, err)
	}
}

// A CA is a certificate authority.
type CA struct {
	// File is the path of the CA's certificate, PEM.
	File string

	cert *x509.Certificate
	key  crypto.Signer
}

// NewCA makes a certificate authority with an ECDSA P-256 key and writes its certificate. It
// calls t.Fatalf if it cannot.
func NewCA(t T) *CA {
	t.Helper()
	key := newKey(t, false)
	template := validUntil(defaultEnd())
	template.Subject = pkix.Name{CommonName: "Test CA"}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign

	ca := &CA{File: filepath.Join(t.TempDir(), "ca.pem"), key: key}
	ca.cert = sign(t, template, key, nil)
	writePEM(t, ca.File, "CERTIFICATE", ca.cert.Raw)
	return ca
}
