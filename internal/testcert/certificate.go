package testcert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"os"
	"time"
)

// rsaBits is the smallest RSA key that the OpenSSL of Debian accepts in a certificate.
const rsaBits = 2048

// leafTemplate is the unsigned server certificate that o asks for.
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

// validUntil starts a template whose validity began a day before now or before
// its end, whichever is earlier, so that an expired certificate was valid once.
func validUntil(end time.Time) *x509.Certificate {
	start := time.Now()
	if end.Before(start) {
		start = end
	}
	return &x509.Certificate{NotBefore: start.Add(-defaultLife), NotAfter: end}
}

func defaultEnd() time.Time { return time.Now().Add(defaultLife) }

// sign makes template a certificate for key, issued by ca or, when ca is nil, by itself.
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

// writePEM writes one PEM block that only its owner may read: servers refuse looser keys.
func writePEM(t T, path, kind string, der []byte) {
	t.Helper()
	block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path, block, 0o600); err != nil {
		t.Fatalf("testcert: writing %s: %v", path, err)
	}
}
