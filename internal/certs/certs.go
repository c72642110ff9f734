// Package certs holds the certificates that the server presents: it loads pairs of
// certificate and key, selects one for each ClientHello, and reloads them when their
// files change. It also makes self-signed ones.
//
//	store, err := certs.Open(pairs, files, log)
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
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"postern/internal/logkey"
)

// A Store selects certificates by ClientHello.
type Store struct {
	log     *slog.Logger
	files   *Files
	index   atomic.Pointer[index]
	changes chan struct{}

	mu     sync.Mutex
	loaded []loaded    // in the configured order
	infos  []fileInfos // just before they were read
}

// loaded is a pair, and the certificate that was last read from it.
type loaded struct {
	pair Pair
	cert *tls.Certificate
}

// Open loads the pairs from files, at least one, in order of preference, and logs when
// each expires. It returns the errors of all pairs, each an *[Error], joined.
func Open(pairs []Pair, files *Files, log *slog.Logger) (*Store, error) {
	s := &Store{log: log, files: files}
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
	infos := stat(pairs)
	next := make([]loaded, 0, len(pairs))
	var errs []error
	for _, pair := range pairs {
		cert, err := s.files.Load(pair)
		errs = append(errs, err)
		next = append(next, loaded{pair, cert})
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.use(next, infos)
	return nil
}

// Reload loads the pairs whose files have changed again. Of a pair that cannot be loaded it
// keeps the current certificate, and logs the error. It also keeps a valid one rather than
// one that is expired or not valid yet.
func (s *Store) Reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	infos := stat(s.pairs())
	next := make([]loaded, len(s.loaded))
	for i, old := range s.loaded {
		cert, err := old.renewed(s.files, time.Now())
		if err != nil {
			s.log.Error("cannot reload certificate; keeping current one",
				logkey.Certificate, old.pair.CertFile, logkey.Expires, old.cert.Leaf.NotAfter.UTC(), logkey.Err, err)
			cert = old.cert
		}
		next[i] = loaded{old.pair, cert}
	}
	s.use(next, infos)
}

// renewed loads the pair again.
func (l loaded) renewed(files *Files, now time.Time) (*tls.Certificate, error) {
	cert, err := files.Load(l.pair)
	if err == nil && l.pair.checkDates(l.cert.Leaf, now) == nil {
		err = l.pair.checkDates(cert.Leaf, now)
	}
	return cert, err
}

// use starts using certificates, and logs those that are new.
func (s *Store) use(next []loaded, infos []fileInfos) {
	known := make(map[Pair]*tls.Certificate, len(s.loaded))
	for _, old := range s.loaded {
		known[old.pair] = old.cert
	}
	all := make([]*tls.Certificate, len(next))
	var fresh []loaded
	for i, l := range next {
		all[i] = l.cert
		if old := known[l.pair]; old == nil || old != l.cert && !bytes.Equal(old.Leaf.Raw, l.cert.Leaf.Raw) {
			fresh = append(fresh, l)
		}
	}
	s.loaded, s.infos = next, infos
	s.files.keep(s.pairs())
	s.index.Store(newIndex(all))
	select {
	case s.changes <- struct{}{}:
	default:
	}
	s.logUse(fresh)
}

// maxLogged is how many certificates have a line of their own when they come into use.
const maxLogged = 20

// logUse logs that certificates are in use.
func (s *Store) logUse(fresh []loaded) {
	fresh = slices.DeleteFunc(fresh, s.warn)
	for _, l := range fresh[:min(len(fresh), maxLogged)] {
		s.log.Info("using certificate", l.attributes()...)
	}
	if more := len(fresh) - maxLogged; more > 0 {
		s.log.Info("using more certificates", logkey.Certificates, more)
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
