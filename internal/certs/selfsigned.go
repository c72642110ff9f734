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

// selfSignedValidity is long: no sender verifies the certificate, and the TLSA record of
// its key (RFC 7671, Section 5.1) should not have to change.
const selfSignedValidity = 10 * 365 * 24 * time.Hour

// rsaBits is the size that old clients and their policies accept.
const rsaBits = 2048

// SelfSigned returns two pairs in dir for hostname and localhost: ECDSA P-256, and RSA for
// clients that support nothing else. It creates those that are missing, have expired, or
// are for another hostname, and logs that. Existing keys are kept. Only the owner can read
// the keys.
func SelfSigned(dir, hostname string, log *slog.Logger) ([]Pair, error) {
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certs: creating folder for self-signed certificates: %w", err)
	}
	names := []string{hostname}
	if hostname != "localhost" {
		names = append(names, "localhost")
	}
	pairs := SelfSignedPairs(dir)
	for i, kind := range []string{"ecdsa", "rsa"} {
		if err := ensureSelfSigned(pairs[i], kind, names, log); err != nil {
			return nil, err
		}
	}
	return pairs, nil
}

// SelfSignedPairs returns the pairs that SelfSigned creates, ECDSA first.
func SelfSignedPairs(dir string) []Pair {
	pair := func(kind string) Pair {
		return Pair{CertFile: filepath.Join(dir, kind+"-cert.pem"), KeyFile: filepath.Join(dir, kind+"-key.pem")}
	}
	return []Pair{pair("ecdsa"), pair("rsa")}
}

// ensureSelfSigned creates a pair unless it is there and valid.
func ensureSelfSigned(pair Pair, kind string, names []string, log *slog.Logger) error {
	cert, err := LoadValid(pair, time.Now())
	reason := "hostname changed"
	switch {
	case err == nil && slices.Equal(cert.Leaf.DNSNames, names):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		reason = "missing"
	case err != nil:
		reason = err.Error()
	}
	key, err := loadOrCreateKey(pair.KeyFile, kind)
	if err != nil {
		return err
	}
	if err := sign(pair.CertFile, key, names); err != nil {
		return err
	}
	log.Info("created self-signed certificate",
		logkey.Certificate, pair.CertFile, logkey.Names, names, logkey.Reason, reason)
	return nil
}

// loadOrCreateKey loads a key, or creates it if there is no file. A file that cannot be
// read may be precious: it is not replaced.
func loadOrCreateKey(file, kind string) (crypto.Signer, error) {
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
		return nil, fmt.Errorf("certs: generating key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("certs: encoding key: %w", err)
	}
	return key, writePEM(file, "PRIVATE KEY", der, 0o600)
}

// sign creates a certificate for key.
func sign(file string, key crypto.Signer, names []string) error {
	now := time.Now()
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Postern, self-signed"}, // a hostname may be too long for a common name
		DNSNames:    names,
		NotBefore:   now.Add(-24 * time.Hour), // for clients with a slow clock
		NotAfter:    now.Add(selfSignedValidity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return fmt.Errorf("certs: signing certificate for %s: %w", names[0], err)
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
