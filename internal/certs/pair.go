package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"postern/internal/durable"
	"postern/internal/oserror"
	"postern/internal/safetext"
)

// A Pair names the files of a certificate and its key.
type Pair struct {
	CertFile string // PEM: the server's certificate first, then its intermediates
	KeyFile  string // PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted
}

// Load loads a pair, and checks that the key belongs to the certificate. The error is an
// *[Error]. The Leaf of the certificate is set.
//
// The certificate may have expired: most senders accept any (RFC 7435), and those that
// check DANE records of the key ignore its dates (RFC 7672, Section 3.1.1).
func Load(p Pair) (*tls.Certificate, error) {
	chain, leaf, err := loadChain(p.CertFile)
	if err != nil {
		return nil, &Error{File: p.CertFile, Err: err}
	}
	key, err := loadKey(p.KeyFile)
	if err != nil {
		return nil, &Error{File: p.KeyFile, Err: err}
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, &Error{File: p.KeyFile, Err: ErrMismatch}
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}, nil
}

// LoadValid is Load of a certificate that has to be valid at the time now.
func LoadValid(p Pair, now time.Time) (*tls.Certificate, error) {
	cert, err := Load(p)
	if err == nil {
		err = p.checkDates(cert.Leaf, now)
	}
	if err != nil {
		return nil, err
	}
	return cert, nil
}

func (p Pair) checkDates(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return &Error{File: p.CertFile, Err: ErrExpired, Time: leaf.NotAfter}
	case now.Before(leaf.NotBefore):
		return &Error{File: p.CertFile, Err: ErrNotYetValid, Time: leaf.NotBefore}
	}
	return nil
}

// loadChain returns the certificates of a file, and the first one parsed.
func loadChain(file string) ([][]byte, *x509.Certificate, error) {
	content, err := oserror.ReadFile(file)
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

// loadKey returns the first key of a file.
func loadKey(file string) (crypto.Signer, error) {
	content, err := oserror.ReadFile(file)
	if err != nil {
		return nil, pathless(err)
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		switch {
		// The second is the form of RFC 1421, Section 4.6.1.1, which OpenSSL used to write.
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

// Faults of a pair, besides the errors of the system and of crypto/x509.
var (
	ErrNoCertificate = errors.New("holds no certificate")
	ErrNoKey         = errors.New("holds no private key")
	ErrEncrypted     = errors.New("holds an encrypted private key")
	ErrMismatch      = errors.New("key does not belong to the certificate")
	ErrExpired       = errors.New("certificate expired")
	ErrNotYetValid   = errors.New("certificate is not valid yet")
)

// An Error is the fault of one file of a pair.
type Error struct {
	File string
	Err  error     // one of those above, or of the system or crypto/x509
	Time time.Time // of ErrExpired and ErrNotYetValid: the end or start of validity
}

func (e *Error) Error() string {
	switch {
	case errors.Is(e.Err, ErrExpired):
		return fmt.Sprintf("certs: %s: %v on %s", e.File, e.Err, e.Time.UTC().Format(time.DateTime+" MST"))
	case errors.Is(e.Err, ErrNotYetValid):
		return fmt.Sprintf("certs: %s: %v, only from %s", e.File, e.Err, e.Time.UTC().Format(time.DateTime+" MST"))
	}
	if sentence, ok := oserror.Sentence(e.File, e.Err); ok {
		return "certs: " + sentence
	}
	return fmt.Sprintf("certs: %s: %v", e.File, e.Err)
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Remedy returns what an operator can do about it.
func (e *Error) Remedy() string {
	switch {
	case errors.Is(e.Err, fs.ErrNotExist):
		return "check the path; in a configuration file it is relative to the folder of that file"
	case errors.Is(e.Err, fs.ErrPermission):
		return "let the user that postern runs as read the file"
	case errors.Is(e.Err, syscall.EISDIR):
		return "name a file in it"
	case errors.Is(e.Err, oserror.ErrNotRegular):
		return "name the PEM file itself"
	case errors.Is(e.Err, ErrNoCertificate):
		return "name a PEM file with the certificate first, such as certbot's fullchain.pem"
	case errors.Is(e.Err, ErrNoKey):
		return "name a PEM file with an RSA, ECDSA or Ed25519 key, such as certbot's privkey.pem"
	case errors.Is(e.Err, ErrEncrypted):
		return "decrypt it with openssl pkey: a server cannot ask for a password"
	case errors.Is(e.Err, ErrMismatch):
		return "name the key of this certificate; the server's own certificate must be the first in its file"
	case errors.Is(e.Err, ErrExpired):
		return "renew the certificate"
	case errors.Is(e.Err, ErrNotYetValid):
		return "check the clock of this machine"
	}
	return "replace the file, it must be PEM"
}

// pathless removes the path from an error, since Error has it.
func pathless(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// LoadKey loads the first key of a PEM file. The error is an *[Error].
func LoadKey(file string) (crypto.Signer, error) {
	key, err := loadKey(file)
	if err != nil {
		return nil, &Error{File: file, Err: err}
	}
	return key, nil
}

// LoadOrCreateKey loads the key of a file, or creates an ECDSA P-256 key if there is no
// file. The folder must exist. A file that cannot be read is an error, and stays.
func LoadOrCreateKey(file string) (crypto.Signer, error) { return loadOrCreateKey(file, "ecdsa") }

// CopyKey copies the key of one file to another and replaces what is there. Only the
// owner can read the copy.
func CopyKey(to, from string) error {
	if _, err := LoadKey(from); err != nil {
		return err
	}
	content, err := oserror.ReadFile(from)
	if err == nil {
		err = durable.WriteFile(to, content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	return nil
}

// Flaw returns why a client that asked for a name refuses the certificate if it verifies,
// such as "self-signed", as far as the certificate alone shows it; empty if it does not. An
// empty name is any name.
func Flaw(leaf *x509.Certificate, name string, now time.Time) string {
	name = strings.TrimSuffix(name, ".")
	switch {
	case leaf == nil:
		return ""
	case bytes.Equal(leaf.RawIssuer, leaf.RawSubject):
		return "self-signed"
	case now.After(leaf.NotAfter):
		return "expired"
	case now.Before(leaf.NotBefore):
		return "not valid yet"
	case name != "" && leaf.VerifyHostname(name) != nil:
		return fmt.Sprintf("not for the name %s", safetext.Quote(name, 80))
	}
	return ""
}
