package certs

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// What can be wrong with a pair, besides what the system or crypto/x509 says.
var (
	ErrNoCertificate = errors.New("holds no certificate")
	ErrNoKey         = errors.New("holds no private key")
	ErrEncrypted     = errors.New("holds an encrypted private key")
	ErrMismatch      = errors.New("key does not belong to the certificate")
	ErrExpired       = errors.New("certificate expired")
	ErrNotYetValid   = errors.New("certificate is not valid yet")
)

// Error tells what is wrong with one file of a pair.
type Error struct {
	File string
	Err  error     // one of those above, or of the system or crypto/x509
	Time time.Time // for ErrExpired and ErrNotYetValid: since or until when
}

func (e *Error) Error() string {
	switch {
	case errors.Is(e.Err, ErrExpired):
		return fmt.Sprintf("certs: %s: %v on %s", e.File, e.Err, e.Time.UTC().Format(time.DateTime+" MST"))
	case errors.Is(e.Err, ErrNotYetValid):
		return fmt.Sprintf("certs: %s: %v, only from %s", e.File, e.Err, e.Time.UTC().Format(time.DateTime+" MST"))
	}
	return fmt.Sprintf("certs: %s: %v", e.File, e.Err)
}

// Unwrap gives Err.
func (e *Error) Unwrap() error { return e.Err }

// Remedy says what to do about it.
func (e *Error) Remedy() string {
	switch {
	case errors.Is(e.Err, fs.ErrNotExist):
		return "check the path; a relative one in a configuration file starts at that file's folder"
	case errors.Is(e.Err, fs.ErrPermission):
		return "let the user that postern runs as read the file"
	case errors.Is(e.Err, ErrNoCertificate):
		return "name a PEM file with the certificate first, such as certbot's fullchain.pem"
	case errors.Is(e.Err, ErrNoKey):
		return "name a PEM file with an RSA, ECDSA or Ed25519 key, such as certbot's privkey.pem"
	case errors.Is(e.Err, ErrEncrypted):
		return "decrypt it with openssl pkey, nobody is there to type a password at a restart"
	case errors.Is(e.Err, ErrMismatch):
		return "name the key that the certificate was made for; the server's own certificate must be the first in its file"
	case errors.Is(e.Err, ErrExpired):
		return "renew the certificate"
	case errors.Is(e.Err, ErrNotYetValid):
		return "check the clock of this machine"
	}
	return "make the file anew, it must be PEM"
}

// pathless drops the path from an error, since Error has it.
func pathless(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
