package certs

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// A choice is the certificates to choose from, ready for use.
type choice struct {
	all    []*tls.Certificate
	byName map[string][]*tls.Certificate // exact names, and wildcards with their asterisk
}

func newChoice(all []*tls.Certificate) *choice {
	c := &choice{all: all, byName: make(map[string][]*tls.Certificate)}
	for _, cert := range all {
		for _, name := range cert.Leaf.DNSNames {
			name = strings.ToLower(name)
			c.byName[name] = append(c.byName[name], cert)
		}
	}
	return c
}

// choose picks for a client, never nil if there is any certificate. The
// client's asking for a wildcard by its asterisk does no harm.
func (c *choice) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.ToLower(hello.ServerName)
	if cert := firstUsable(hello, c.byName[name]); cert != nil {
		return cert
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if cert := firstUsable(hello, c.byName["*."+parent]); cert != nil {
			return cert
		}
	}
	if cert := firstUsable(hello, c.all); cert != nil {
		return cert
	}
	return c.all[0] // crypto/tls says to the client what it lacks
}

// For gives those certificates that a server shows to who asks for name, one for each kind
// of key, as Store chooses: first of those that hold it, then of those with a wildcard for
// it, then of all.
func For(name string, all []*tls.Certificate) (shown []*tls.Certificate) {
	c, name := newChoice(all), strings.ToLower(name)
	_, parent, _ := strings.Cut(name, ".")
	seen := make(map[x509.PublicKeyAlgorithm]bool)
	for _, some := range [][]*tls.Certificate{c.byName[name], c.byName["*."+parent], all} {
		for _, cert := range some {
			if kind := cert.Leaf.PublicKeyAlgorithm; !seen[kind] {
				seen[kind] = true
				shown = append(shown, cert)
			}
		}
	}
	return shown
}

// firstUsable gives the first certificate whose kind of key the client knows.
func firstUsable(hello *tls.ClientHelloInfo, certs []*tls.Certificate) *tls.Certificate {
	if len(certs) == 0 {
		return nil
	}
	nameless := *hello // SupportsCertificate would insist on the name
	nameless.ServerName = ""
	for _, cert := range certs {
		if nameless.SupportsCertificate(cert) == nil {
			return cert
		}
	}
	return nil
}
