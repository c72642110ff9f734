package certs

import (
	"crypto/tls"
	"crypto/x509"
	"strings"
)

// An index finds certificates by server name.
type index struct {
	all    []*tls.Certificate
	byName map[string][]*tls.Certificate // in lower case; wildcards with their asterisk
}

func newIndex(all []*tls.Certificate) *index {
	x := &index{all: all, byName: make(map[string][]*tls.Certificate)}
	for _, cert := range all {
		for _, name := range cert.Leaf.DNSNames {
			name = strings.ToLower(name)
			x.byName[name] = append(x.byName[name], cert)
		}
	}
	return x
}

// choose returns the certificate for a client, never nil if there is one at all. A client
// may send the name of a wildcard; that does no harm.
func (x *index) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.ToLower(hello.ServerName)
	if cert := firstSupported(hello, x.byName[name]); cert != nil {
		return cert
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if cert := firstSupported(hello, x.byName["*."+parent]); cert != nil {
			return cert
		}
	}
	if cert := firstSupported(hello, x.all); cert != nil {
		return cert
	}
	return x.all[0] // crypto/tls sends the alert
}

// ForName returns the certificates that a [Store] presents to clients that send a server
// name, one for each kind of key.
func ForName(name string, all []*tls.Certificate) (presented []*tls.Certificate) {
	x, name := newIndex(all), strings.ToLower(name)
	_, parent, _ := strings.Cut(name, ".")
	seen := make(map[x509.PublicKeyAlgorithm]bool)
	for _, some := range [][]*tls.Certificate{x.byName[name], x.byName["*."+parent], all} {
		for _, cert := range some {
			if kind := cert.Leaf.PublicKeyAlgorithm; !seen[kind] {
				seen[kind] = true
				presented = append(presented, cert)
			}
		}
	}
	return presented
}

// firstSupported returns the first certificate whose kind of key the client supports.
func firstSupported(hello *tls.ClientHelloInfo, certs []*tls.Certificate) *tls.Certificate {
	if len(certs) == 0 {
		return nil
	}
	nameless := *hello // with a name, SupportsCertificate would require it
	nameless.ServerName = ""
	for _, cert := range certs {
		if nameless.SupportsCertificate(cert) == nil {
			return cert
		}
	}
	return nil
}
