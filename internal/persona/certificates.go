package persona

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"time"

	utls "github.com/refraction-networking/utls"
)

var certificateRefused = Persona{
	ID:   "certificate-refused",
	Case: "certificate-refused",
	Does: "Verifies the certificate and its name, as senders with an MTA-STS policy do",
	configure: func(config *tls.Config, t Target) error {
		config.InsecureSkipVerify = false
		config.RootCAs = t.RootCAs
		return nil
	},
}

var clientCertificateAsked = Persona{
	ID:   "client-certificate-asked",
	Case: "client-certificate-asked",
	Does: "Sends a self-signed certificate if the server asks for one, whatever issuers it names",
	configure: func(config *tls.Config, t Target) error {
		return sendCertificate(config, t, 1)
	},
}

// sendCertificate makes the client send a chain of copies of one new certificate for its name.
func sendCertificate(config *tls.Config, t Target, copies int) error {
	certificate, err := selfSigned(t.EHLO)
	if err != nil {
		return err
	}
	certificate.Certificate = slices.Repeat(certificate.Certificate, copies)
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	return nil
}

func selfSigned(name string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

var rsaOnlyClient = Persona{
	ID:   "rsa-only-client",
	Case: "rsa-only-client",
	Does: "Offers TLS 1.2 with suites for RSA certificates only",
	configure: func(config *tls.Config, _ Target) error {
		config.MaxVersion = tls.VersionTLS12
		config.CipherSuites = []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		}
		return nil
	},
}

var sha1SignaturesOnly = Persona{
	ID:   "sha1-signatures-only",
	Case: "sha1-signatures-only",
	Does: "Offers TLS 1.2 with signatures over SHA-1 only",
	shape: func(t Target) *utls.ClientHelloSpec {
		spec := with(openSSLShape(t),
			versions(utls.VersionTLS12),
			signatures(utls.PKCS1WithSHA1, utls.ECDSAWithSHA1))
		spec = without[*utls.KeyShareExtension](spec)
		spec = without[*utls.PSKKeyExchangeModesExtension](spec)
		return without[*utls.UtlsPreSharedKeyExtension](spec)
	},
}
