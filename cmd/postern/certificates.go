package main

import (
	"context"
	"log/slog"
	"slices"

	"postern/internal/acme"
	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/logkey"
)

// newRenewer gives nil where no authority is asked.
func newRenewer(c *config.Config, log *slog.Logger) *acme.Renewer {
	if !c.ACME.Ask {
		return nil
	}
	return acme.New(acme.Settings{
		Directory: c.ACME.Directory,
		Email:     c.ACME.Email,
		Hosts:     c.ACME.Hosts,
		ReuseKey:  !c.ACME.NewKey,
		Roots:     c.ACME.Roots,
		HTTP:      first(c.Web.ListenPlain),
		HTTPS:     first(c.Web.Listen),
		Folder:    c.ACMEFolder(),
	}, log)
}

// findPairs gives the pairs to show, and makes our own if they are among them.
func (s *service) findPairs(c *config.Config) ([]certs.Pair, error) {
	if len(c.Certificates) == 0 {
		if _, err := certs.SelfSigned(c.TLSFolder(), c.Hostname, s.log); err != nil {
			return nil, err
		}
	}
	return shownPairs(c, s.log), nil
}

// shownPairs gives the configured pairs, then those of the authority. Our own come
// last, if none are configured: for the time until there are others, and for clients
// that know only RSA.
func shownPairs(c *config.Config, log *slog.Logger) []certs.Pair {
	pairs := slices.Clone(c.Certificates)
	if c.ACME.Ask {
		pairs = append(pairs, acme.Pairs(c.ACMEFolder(), c.ACME.Hosts, log)...)
	}
	if len(c.Certificates) == 0 {
		pairs = append(pairs, certs.SelfSignedPairs(c.TLSFolder())...)
	}
	return pairs
}

// first gives the first of addresses, nothing if there is none.
func first(addresses []string) string {
	if len(addresses) == 0 {
		return ""
	}
	return addresses[0]
}

// renew lets the authority sign, until ctx ends.
func (s *service) renew(ctx context.Context) {
	if err := s.acme.Run(ctx); err != nil {
		s.log.Error("no certificates are obtained until the next start, mail goes on with those there are", logkey.Err, err)
	}
}

// obtained gives a value when there are other certificates of the authority.
func (s *service) obtained() <-chan struct{} {
	if s.acme == nil {
		return nil
	}
	return s.acme.Changes()
}
