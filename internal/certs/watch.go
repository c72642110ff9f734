package certs

import (
	"context"
	"os"
	"slices"
	"time"

	"postern/internal/logkey"
)

// Watch reloads the pairs when one of their files has changed, until ctx ends.
// It looks at them every interval, through symbolic links, so that certbot's
// live folder and the volumes of Kubernetes work, where it is the links that
// change.
//
// It waits until the files have stayed as they are for one interval: a
// certificate and its key are rarely written in the same moment.
//
// Once a day it warns of each certificate that expires within 14 days, or has.
func (s *Store) Watch(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	warning := time.NewTicker(warnInterval)
	defer warning.Stop()
	var last view
	for {
		select {
		case <-ctx.Done():
			return
		case <-warning.C:
			s.warnAll()
			continue
		case <-ticker.C:
		}
		now, changed := s.changed()
		if changed && now.same(last) {
			s.Reload()
		}
		last = now
	}
}

// changed reports whether the files are others than those last read.
func (s *Store) changed() (view, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := look(s.pairs())
	return now, !now.same(s.seen)
}

// A view is what files look like from outside; nil stands for a missing one.
type view []os.FileInfo

func look(pairs []Pair) view {
	var v view
	for _, pair := range pairs {
		for _, file := range []string{pair.CertFile, pair.KeyFile} {
			info, err := os.Stat(file)
			if err != nil {
				info = nil
			}
			v = append(v, info)
		}
	}
	return v
}

func (v view) same(other view) bool {
	return slices.EqualFunc(v, other, func(a, b os.FileInfo) bool {
		if a == nil || b == nil {
			return a == nil && b == nil
		}
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}

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
