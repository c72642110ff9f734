package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"time"
)

// Pair names the files of a certificate with its key.
type Pair struct {
	CertFile string // PEM: the server's certificate first, then those that lead to the root
	KeyFile  string // PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted
}

// Load reads a pair and checks that its halves belong together and that it is
// valid at the time now. The error is an *[Error]. The certificate has its
// Leaf set.
func Load(p Pair, now time.Time) (*tls.Certificate, error) {
	chain, leaf, err := loadChain(p.CertFile)
	if err != nil {
		return nil, &Error{File: p.CertFile, Err: err}
	}
	key, err := loadKey(p.KeyFile)
	if err != nil {
		return nil, &Error{File: p.KeyFile, Err: err}
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !public.Equal(key.Public()):
		return nil, &Error{File: p.KeyFile, Err: ErrMismatch}
	case now.After(leaf.NotAfter):
		return nil, &Error{File: p.CertFile, Err: ErrExpired, Time: leaf.NotAfter}
	case now.Before(leaf.NotBefore):
		return nil, &Error{File: p.CertFile, Err: ErrNotYetValid, Time: leaf.NotBefore}
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

// loadChain gives the certificates of a file, and the first one parsed.
func loadChain(file string) ([][]byte, *x509.Certificate, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, pathless(err)
	}
	var chain [][]byte
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			chain = append(chain, block.Bytes)
		}
	}
	if len(chain) == 0 {
		return nil, nil, ErrNoCertificate
	}
	leaf, err := x509.ParseCertificate(chain[0])
	return chain, leaf, err
}

// loadKey gives the first key of a file.
func loadKey(file string) (crypto.Signer, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, pathless(err)
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		switch {
		// The second is how OpenSSL once wrote it (RFC 1421, Section 4.6.1.1).
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, ErrEncrypted
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return parseKey(block.Bytes)
		}
	}
	return nil, ErrNoKey
}

func parseKey(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		return key, nil
	case *rsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, ErrNoKey
}
