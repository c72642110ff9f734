package certs

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"postern/internal/safetext"
)

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
