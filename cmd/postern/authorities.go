package main

import (
	"crypto/x509"
	"fmt"
	"os"
)

// authorities reads certificates to trust; nil for no file.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("--ca: no certificate in %s: want PEM", file)
	}
	return roots, nil
}
