// Package certs holds the certificates that the server shows: it reads pairs
// of certificate and key, picks one for each ClientHello, and reads them anew
// when their files change. Where none are configured it makes its own.
//
//	store, err := certs.Open(pairs, log)
//	config := &tls.Config{GetCertificate: store.GetCertificate}
//
// # Which certificate a client gets
//
// Among those whose names hold the name that the client asked for (RFC 6066,
// Section 3), then those with a wildcard for it, then all: in each of the
// three, the first in the configured order that the client can use. So an ECDSA
// and an RSA pair stand side by side, and clients that know only RSA get in.
//
// A name that no certificate holds, that is no host name at all, or that is
// missing is no reason to refuse anyone: mail servers ask for all kinds of
// names, and few verify.
//
// # Limits
//
// A server name with a final dot never comes here. crypto/tls takes such a
// ClientHello for one that cannot be decoded and answers with the alert
// decode_error.
//
// # Concurrency
//
// A Store is safe for concurrent use. A handshake keeps the certificate it
// began with.
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

// Store gives out certificates by ClientHello.
type Store struct {
	log     *slog.Logger
	choice  atomic.Pointer[choice]
	changes chan struct{}

	mu     sync.Mutex
	loaded []loaded // in the configured order
	seen   view     // the files just before they were read
}

// loaded is a pair and what was last read of it.
type loaded struct {
	pair Pair
	cert *tls.Certificate
}

// Open reads the pairs, at least one, in the order in which they shall be
// preferred, and logs until when each is valid. It returns what is wrong with
// any of them, each an *[Error], joined.
func Open(pairs []Pair, log *slog.Logger) (*Store, error) {
	s := &Store{log: log}
	if err := s.Replace(pairs); err != nil {
		return nil, err
	}
	s.changes = make(chan struct{}, 1)
	return s, nil
}

// Replace puts other pairs in force. If anything is wrong with any of them,
// it returns what [Open] would and the old ones stay.
func (s *Store) Replace(pairs []Pair) error {
	if len(pairs) == 0 {
		return errors.New("certs: no certificate")
	}
	seen := look(pairs)
	var next []loaded
	var errs []error
	for _, pair := range pairs {
		cert, err := Load(pair, time.Now())
		errs = append(errs, err)
		next = append(next, loaded{pair, cert})
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.use(next, seen)
	return nil
}

// Reload reads the pairs anew. One with which something is wrong stays as it
// was; what is wrong is logged.
func (s *Store) Reload() {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := look(s.pairs())
	next := make([]loaded, len(s.loaded))
	for i, old := range s.loaded {
		cert, err := Load(old.pair, time.Now())
		if err != nil {
			s.log.Error("certificate was not reloaded, the old one stays in use",
				logkey.Certificate, old.pair.CertFile, logkey.Expires, old.cert.Leaf.NotAfter.UTC(), logkey.Err, err)
			cert = old.cert
		}
		next[i] = loaded{old.pair, cert}
	}
	s.use(next, seen)
}

// use puts certificates in force and then logs those that were not before.
func (s *Store) use(next []loaded, seen view) {
	known := make(map[string]bool)
	for _, old := range s.loaded {
		known[string(old.cert.Leaf.Raw)] = true
	}
	all := make([]*tls.Certificate, len(next))
	for i, l := range next {
		all[i] = l.cert
	}
	s.loaded, s.seen = next, seen
	s.choice.Store(newChoice(all))
	select {
	case s.changes <- struct{}{}:
	default:
	}
	for _, l := range next {
		if !known[string(l.cert.Leaf.Raw)] {
			s.announce(l)
		}
	}
}

// announce logs that a certificate is new in use.
func (s *Store) announce(l loaded) {
	if !s.warn(l) {
		s.log.Info("certificate in use", l.attributes()...)
	}
}

// GetCertificate is for [tls.Config]. It always gives a certificate.
func (s *Store) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.choice.Load().choose(hello), nil
}

// Certificates gives the certificates in use, in their order.
func (s *Store) Certificates() []*tls.Certificate { return s.choice.Load().all }

// Changes gives a value after the certificates in use were replaced or read anew, one
// for several in a row. It is for one reader.
func (s *Store) Changes() <-chan struct{} { return s.changes }

// pairs gives the names of the files in use, to who holds mu.
func (s *Store) pairs() []Pair {
	pairs := make([]Pair, len(s.loaded))
	for i, l := range s.loaded {
		pairs[i] = l.pair
	}
	return pairs
}
