package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync/atomic"
	"time"

	"postern/internal/buildinfo"
	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/mtastsserve"
	"postern/mtasts"
)

// maxNoted is how many certificates or policies that change at once have events of their own.
const maxNoted = 20

// noteEvent stores a change of the server itself, for the time line. The ledger leaves out what it
// was before, too, so each start can say what the server has.
func (s *Server) noteEvent(kind ledger.EventKind, subject, text string) {
	s.observer.ledger.AddEvent(ledger.Event{At: time.Now(), Kind: kind, Subject: subject, Text: text})
}

// noteVersions notes the versions that run.
func (s *Server) noteVersions() {
	build := buildinfo.Read()
	s.noteEvent(ledger.VersionChanged, "", build.Version)
	s.noteEvent(ledger.GoVersionChanged, "", build.Go)
}

// expiryInterval is how often certificates in use are looked at for those that have expired.
const expiryInterval = time.Minute

// noteCertificates notes the certificates in use, new ones whenever changed yields a value, which
// it passes on to next, and those that expire.
func (s *Server) noteCertificates(ctx context.Context, changed <-chan struct{}, next chan<- struct{}) {
	tick := time.NewTicker(expiryInterval)
	defer tick.Stop()
	var known map[*tls.Certificate]string
	for {
		inUse, fresh := make(map[*tls.Certificate]string), 0
		for _, cert := range s.store.Certificates() {
			e := certificateEvent(cert, time.Now())
			inUse[cert] = e.Text
			if known[cert] == e.Text {
				continue
			}
			if fresh++; fresh <= maxNoted {
				s.observer.ledger.AddEvent(e)
			}
		}
		if more := fresh - maxNoted; more > 0 {
			s.noteEvent(ledger.CertificateChanged, "", fmt.Sprint(more, " more"))
		}
		known = inUse
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-changed:
			select {
			case next <- struct{}{}:
			default:
			}
		}
	}
}

// certificateEvent is what is noted of a certificate in use.
func certificateEvent(cert *tls.Certificate, now time.Time) ledger.Event {
	e := ledger.Event{At: now, Kind: ledger.CertificateChanged, Subject: certificateName(cert), Text: "until " + cert.Leaf.NotAfter.UTC().Format(time.DateOnly)}
	if now.After(cert.Leaf.NotAfter) {
		e.At, e.Text = cert.Leaf.NotAfter, "expired"
	}
	return e
}

// certificateName is the first name of a certificate, and the kind of its key: there can be one of
// each kind.
func certificateName(cert *tls.Certificate) string {
	return fmt.Sprint(certs.NameOf(cert.Leaf), " ", cert.Leaf.PublicKeyAlgorithm)
}

// policies are the MTA-STS policies to serve. Of many domains that change at once some have an
// event.
func (s *Server) policies(c *config.Config) mtastsserve.Settings {
	if !c.MTASTS.Enabled {
		return mtastsserve.Settings{}
	}
	var noted atomic.Int64
	return mtastsserve.Settings{
		Domains: c.MTASTS.Domains, Policy: c.MTASTS.Policy(), Resolver: c.MTASTS.Resolver,
		Changed: func(domain string, mode mtasts.Mode) {
			switch n := noted.Add(1); {
			case n <= maxNoted:
				s.noteEvent(ledger.PolicyChanged, domain, string(mode))
			case n == maxNoted+1:
				s.noteEvent(ledger.PolicyChanged, "", "of more domains; the log has them")
			}
		},
	}
}
