package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"postern/internal/durable"
	"postern/internal/logkey"
)

// selfSignedLife is long since nobody verifies the certificate, and a TLSA
// record of its key (RFC 7671, Section 5.1) should not have to change.
const selfSignedLife = 10 * 365 * 24 * time.Hour

// rsaBits is what old clients and their policies accept.
const rsaBits = 2048

// SelfSigned gives two pairs for hostname and localhost that lie in dir, ECDSA
// P-256 and RSA for clients that know no other. It makes those that are
// missing, have expired, or are for another hostname, keeps the keys
// then, and logs it. The keys can be read by their owner alone.
func SelfSigned(dir, hostname string, log *slog.Logger) ([]Pair, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certs: making the folder of the self-signed certificates: %w", err)
	}
	names := []string{hostname}
	if hostname != "localhost" {
		names = append(names, "localhost")
	}
	pairs := SelfSignedPairs(dir)
	for i, kind := range []string{"ecdsa", "rsa"} {
		if err := keepOrSign(pairs[i], kind, names, log); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// SelfSignedPairs names the files that SelfSigned gives, ECDSA first.
func SelfSignedPairs(dir string) []Pair {
	pair := func(kind string) Pair {
		return Pair{CertFile: filepath.Join(dir, kind+"-cert.pem"), KeyFile: filepath.Join(dir, kind+"-key.pem")}
	}
	return []Pair{pair("ecdsa"), pair("rsa")}
}

// keepOrSign leaves a pair as it is, or makes it.
func keepOrSign(pair Pair, kind string, names []string, log *slog.Logger) error {
	cert, err := Load(pair, time.Now())
	reason := "hostname has changed"
	switch {
	case err == nil && slices.Equal(cert.Leaf.DNSNames, names):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		reason = "there was none"
	case err != nil:
		reason = err.Error()
	}
	key, err := keepOrMakeKey(pair.KeyFile, kind)
	if err != nil {
		return err
	}
	if err := sign(pair.CertFile, key, names); err != nil {
		return err
	}
	log.Info("made a self-signed certificate",
		logkey.Certificate, pair.CertFile, logkey.Names, names, logkey.Reason, reason)
	return nil
}

// keepOrMakeKey keeps a key for longer than its certificate. Only a missing
// one is made: one that cannot be read is for a person to look at.
func keepOrMakeKey(file, kind string) (crypto.Signer, error) {
	key, err := loadKey(file)
	if err == nil {
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, &Error{File: file, Err: err}
	}
	if kind == "rsa" {
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, fmt.Errorf("certs: making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("certs: encoding a key: %w", err)
	}
	return key, writePEM(file, "PRIVATE KEY", der, 0o600)
}

// sign makes a certificate for key.
func sign(file string, key crypto.Signer, names []string) error {
	now := time.Now()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Postern, self-signed"}, // a hostname may be too long here
		DNSNames:    names,
		NotBefore:   now.Add(-24 * time.Hour), // for peers whose clocks are slow
		NotAfter:    now.Add(selfSignedLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("certs: signing a certificate for %s: %w", names[0], err)
	}
	return writePEM(file, "CERTIFICATE", der, 0o644)
}

func writePEM(file, kind string, der []byte, mode fs.FileMode) error {
	content := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := durable.WriteFile(file, content, mode); err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	return nil
}
