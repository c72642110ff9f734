package certs

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"strings"
)

// An index finds certificates by server name. Of several for one name it has the first of
// each kind of key: whether a client supports one depends on nothing else.
type index struct {
	all    []*tls.Certificate
	any    kinds            // of all
	byName map[string]kinds // in lower case; wildcards with their asterisk
}

func newIndex(all []*tls.Certificate) *index {
	x := &index{all: all, byName: make(map[string]kinds, len(all))}
	for _, cert := range all {
		x.any = x.any.with(cert)
		for _, name := range cert.Leaf.DNSNames {
			name = strings.ToLower(name)
			x.byName[name] = x.byName[name].with(cert)
		}
	}
	return x
}

// choose returns the certificate for a client, never nil if there is one at all. A client
// may send the name of a wildcard; that does no harm.
func (x *index) choose(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.ToLower(hello.ServerName)
	if cert := x.byName[name].supported(hello); cert != nil {
		return cert
	}
	if _, parent, ok := strings.Cut(name, "."); ok {
		if cert := x.byName["*."+parent].supported(hello); cert != nil {
			return cert
		}
	}
	if cert := x.any.supported(hello); cert != nil {
		return cert
	}
	return x.all[0] // crypto/tls sends the alert
}

// NameOf returns the name by which people know a certificate: the first that it is for.
func NameOf(leaf *x509.Certificate) string {
	if len(leaf.DNSNames) > 0 {
		return leaf.DNSNames[0]
	}
	return leaf.Subject.CommonName
}

// ForName returns the certificates that a [Store] presents to clients that send a server
// name, one for each algorithm of their keys.
func ForName(name string, all []*tls.Certificate) (presented []*tls.Certificate) {
	x, name := newIndex(all), strings.ToLower(name)
	_, parent, _ := strings.Cut(name, ".")
	seen := make(map[x509.PublicKeyAlgorithm]bool)
	for _, some := range []kinds{x.byName[name], x.byName["*."+parent], x.any} {
		for _, cert := range some {
			if algorithm := cert.Leaf.PublicKeyAlgorithm; !seen[algorithm] {
				seen[algorithm] = true
				presented = append(presented, cert)
			}
		}
	}
	return presented
}

// kinds are certificates with different kinds of key, in order of preference.
type kinds []*tls.Certificate

// with adds a certificate, unless there is one with the same kind of key.
func (k kinds) with(cert *tls.Certificate) kinds {
	kind := kindOf(cert)
	if slices.ContainsFunc(k, func(c *tls.Certificate) bool { return kindOf(c) == kind }) {
		return k
	}
	return append(k, cert)
}

// supported returns the first certificate whose kind of key the client supports.
func (k kinds) supported(hello *tls.ClientHelloInfo) *tls.Certificate {
	if len(k) == 0 {
		return nil
	}
	nameless := *hello // with a name, SupportsCertificate would require it
	nameless.ServerName = ""
	for _, cert := range k {
		if nameless.SupportsCertificate(cert) == nil {
			return cert
		}
	}
	return nil
}

// A keyKind is what [tls.ClientHelloInfo.SupportsCertificate] looks at in a certificate:
// the algorithm of its key, the curve, and the length of an RSA key, which limits the
// signature schemes (RFC 8017, Section 9.1.1).
type keyKind struct {
	algorithm x509.PublicKeyAlgorithm
	bits      int
}

func kindOf(cert *tls.Certificate) keyKind {
	kind := keyKind{algorithm: cert.Leaf.PublicKeyAlgorithm}
	switch key := cert.Leaf.PublicKey.(type) {
	case *ecdsa.PublicKey:
		kind.bits = key.Curve.Params().BitSize
	case *rsa.PublicKey:
		kind.bits = key.N.BitLen()
	}
	return kind
}
