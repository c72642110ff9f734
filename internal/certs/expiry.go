package certs

import (
	"time"

	"postern/internal/logkey"
)

const (
	// soon is when an operator should hear that a certificate runs out: certbot
	// and its like renew 30 days before.
	soon = 14 * 24 * time.Hour

	// warnInterval is how often it is said again.
	warnInterval = 24 * time.Hour
)

// warnAll warns of each certificate in use that runs out.
func (s *Store) warnAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loaded {
		s.warn(l)
	}
}

// warn warns of a certificate if it runs out, or has.
func (s *Store) warn(l loaded) bool {
	switch left := time.Until(l.cert.Leaf.NotAfter); {
	case left < 0:
		s.log.Error("certificate in use, it has expired", l.attributes()...)
	case left < soon:
		s.log.Warn("certificate in use, it expires soon", l.attributes()...)
	default:
		return false
	}
	return true
}

// attributes are a certificate in the log.
func (l loaded) attributes() []any {
	leaf := l.cert.Leaf
	return []any{
		logkey.Certificate, l.pair.CertFile,
		logkey.Names, leaf.DNSNames,
		logkey.KeyKind, leaf.PublicKeyAlgorithm.String(),
		logkey.Expires, leaf.NotAfter.UTC(),
	}
}
