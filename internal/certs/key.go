package certs

import (
	"crypto"
	"fmt"
	"os"

	"postern/internal/durable"
)

// LoadKey gives the first key of a PEM file. The error is an *[Error].
func LoadKey(file string) (crypto.Signer, error) {
	key, err := loadKey(file)
	if err != nil {
		return nil, &Error{File: file, Err: err}
	}
	return key, nil
}

// MakeKey gives the key of a file, and makes an ECDSA P-256 one where there is no file. Its
// folder has to be there. One that cannot be read is an error: it is for a person to look at.
func MakeKey(file string) (crypto.Signer, error) { return keepOrMakeKey(file, "ecdsa") }

// CopyKey puts the key of one file into another, in place of what is there, readable by its
// owner alone.
func CopyKey(to, from string) error {
	if _, err := LoadKey(from); err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err == nil {
		err = durable.WriteFile(to, content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("certs: %w", err)
	}
	return nil
}
