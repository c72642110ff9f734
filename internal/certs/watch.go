package certs

import (
	"context"
	"slices"
	"time"

	"postern/internal/logkey"
)

// Watch reloads the pairs when one of their files has changed, until ctx is done. It
// checks the files every interval and follows symbolic links, since certbot's live folder
// and the volumes of Kubernetes change links.
//
// It waits until no file has changed for one interval: a certificate and its key are
// rarely written at the same moment.
//
// Once a day it logs each certificate that has expired, expires within 14 days, or is not
// valid yet.
func (s *Store) Watch(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	warning := time.NewTicker(warnInterval)
	defer warning.Stop()
	var last []fileInfos
	for {
		select {
		case <-ctx.Done():
			return
		case <-warning.C:
			s.warnAll()
			continue
		case <-ticker.C:
		}
		now, changed := s.filesChanged()
		if changed && same(now, last) {
			s.Reload()
		}
		last = now
	}
}

// filesChanged returns the state of the files, and whether they have changed since they
// were read.
func (s *Store) filesChanged() ([]fileInfos, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := stat(s.pairs())
	return now, !same(now, s.infos)
}

// stat returns the state of the files of pairs.
func stat(pairs []Pair) []fileInfos {
	infos := make([]fileInfos, len(pairs))
	for i, pair := range pairs {
		infos[i] = statPair(pair)
	}
	return infos
}

func same(a, b []fileInfos) bool { return slices.EqualFunc(a, b, fileInfos.same) }

const (
	// expiryWarning is how long before its end a certificate is worth a warning: ACME
	// clients renew 30 days before.
	expiryWarning = 14 * 24 * time.Hour

	// warnInterval is how often the warning is repeated.
	warnInterval = 24 * time.Hour
)

// warnAll logs the certificates in use whose dates need attention.
func (s *Store) warnAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loaded {
		s.warn(l)
	}
}

// warn logs a certificate whose dates need attention, and reports whether it did.
func (s *Store) warn(l loaded) bool {
	switch left := time.Until(l.cert.Leaf.NotAfter); {
	case time.Until(l.cert.Leaf.NotBefore) > 0:
		s.log.Error("certificate not valid yet", append(l.attributes(), logkey.ValidFrom, l.cert.Leaf.NotBefore.UTC())...)
	case left < 0:
		s.log.Error("certificate expired", l.attributes()...)
	case left < expiryWarning:
		s.log.Warn("certificate expires soon", l.attributes()...)
	default:
		return false
	}
	return true
}

// attributes returns the attributes of a certificate in the log.
func (l loaded) attributes() []any {
	leaf := l.cert.Leaf
	return []any{
		logkey.Certificate, l.pair.CertFile,
		logkey.Names, leaf.DNSNames,
		logkey.KeyType, leaf.PublicKeyAlgorithm.String(),
		logkey.Expires, leaf.NotAfter.UTC(),
	}
}
