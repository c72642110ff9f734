// Package certs holds the certificates that the server presents: it loads pairs of
// certificate and key, selects one for each ClientHello, and reloads them when their
// files change. It also makes self-signed ones.
//
//	store, err := certs.Open(pairs, log)
//	config := &tls.Config{GetCertificate: store.GetCertificate}
//
// # Selection
//
// A client gets the first certificate, in the configured order, that it supports: among
// those with the server name that it sent (RFC 6066, Section 3), else among those with a
// wildcard for it, else among all. So an ECDSA and an RSA pair can be used together, and
// clients that support only RSA connect too.
//
// A server name that no certificate has, that is not a host name, or that is missing is
// no reason to refuse a client: mail servers send all kinds of names, and few verify.
//
// # Limits
//
// A server name with a final dot never reaches this package: crypto/tls rejects such a
// ClientHello with the alert decode_error.
//
// # Concurrency
//
// A Store is safe for concurrent use. A handshake keeps the certificate that it began
// with.
package certs

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/logkey"
)

// A Store selects certificates by ClientHello.
type Store struct {
	log     *slog.Logger
	index   atomic.Pointer[index]
	changes chan struct{}

	mu     sync.Mutex
	loaded []loaded  // in the configured order
	files  fileInfos // just before they were read
}

// loaded is a pair, and the certificate that was last read from it.
type loaded struct {
	pair Pair
	cert *tls.Certificate
}

// Open loads the pairs, at least one, in order of preference, and logs when each
// expires. It returns the errors of all pairs, each an *[Error], joined.
func Open(pairs []Pair, log *slog.Logger) (*Store, error) {
	s := &Store{log: log}
	if err := s.Replace(pairs); err != nil {
		return nil, err
	}
	s.changes = make(chan struct{}, 1)
	return s, nil
}

// Replace replaces the pairs. If one of them cannot be loaded, it returns the error of
// [Open] and keeps the current ones.
func (s *Store) Replace(pairs []Pair) error {
	if len(pairs) == 0 {
		return errors.New("certs: no certificate configured")
	}
	files := stat(pairs)
	var next []loaded
	var errs []error
	for _, pair := range pairs {
		cert, err := Load(pair)
		errs = append(errs, err)
		next = append(next, loaded{pair, cert})
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.use(next, files)
	return nil
}

// Reload loads the pairs again. Of a pair that cannot be loaded it keeps the current
// certificate, and logs the error. It also keeps a valid one rather than one that is
// expired or not valid yet.
func (s *Store) Reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := stat(s.pairs())
	next := make([]loaded, len(s.loaded))
	for i, old := range s.loaded {
		cert, err := old.renewed(time.Now())
		if err != nil {
			s.log.Error("cannot reload certificate; keeping current one",
				logkey.Certificate, old.pair.CertFile, logkey.Expires, old.cert.Leaf.NotAfter.UTC(), logkey.Err, err)
			cert = old.cert
		}
		next[i] = loaded{old.pair, cert}
	}
	s.use(next, files)
}

// renewed loads the pair again.
func (l loaded) renewed(now time.Time) (*tls.Certificate, error) {
	if l.pair.checkDates(l.cert.Leaf, now) == nil {
		return LoadValid(l.pair, now)
	}
	return Load(l.pair)
}

// use starts using certificates, and logs those that are new.
func (s *Store) use(next []loaded, files fileInfos) {
	known := make(map[string]bool)
	for _, old := range s.loaded {
		known[string(old.cert.Leaf.Raw)] = true
	}
	all := make([]*tls.Certificate, len(next))
	for i, l := range next {
		all[i] = l.cert
	}
	s.loaded, s.files = next, files
	s.index.Store(newIndex(all))
	select {
	case s.changes <- struct{}{}:
	default:
	}
	for _, l := range next {
		if !known[string(l.cert.Leaf.Raw)] {
			s.logUse(l)
		}
	}
}

// logUse logs that a certificate is in use.
func (s *Store) logUse(l loaded) {
	if !s.warn(l) {
		s.log.Info("using certificate", l.attributes()...)
	}
}

// GetCertificate is for [tls.Config]. It always returns a certificate.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.index.Load().choose(hello), nil
}

// Certificates returns the certificates in use, in order of preference.
func (s *Store) Certificates() []*tls.Certificate { return s.index.Load().all }

// Changes returns a channel that yields a value after the certificates were replaced or
// reloaded, one for several changes in a row. It is for one reader.
func (s *Store) Changes() <-chan struct{} { return s.changes }

// pairs returns the pairs in use. The caller holds s.mu.
func (s *Store) pairs() []Pair {
	pairs := make([]Pair, len(s.loaded))
	for i, l := range s.loaded {
		pairs[i] = l.pair
	}
	return pairs
}
