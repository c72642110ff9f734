package testcert

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"path/filepath"
)

// CA is a certificate authority that lives as long as its test.
type CA struct {
	// File is the path of the CA's certificate, PEM: what a client's CAfile option takes.
	File string

	cert *x509.Certificate
	key  crypto.Signer
}

// NewCA makes a certificate authority with an ECDSA P-256 key and writes its
// certificate. It ends the test with t.Fatalf if it cannot.
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
