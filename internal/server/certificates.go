package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"slices"
	"time"

	"postern/internal/acme"
	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/logkey"
)

// Certificates returns the certificates that a server with this configuration
// presents, without those that it has yet to make or obtain and those that it
// would reject.
func Certificates(c *config.Config) (valid []*tls.Certificate) {
	for _, pair := range certificatePairs(c, slog.New(slog.DiscardHandler)) {
		if cert, err := c.Files.Load(pair); err == nil {
			valid = append(valid, cert)
		}
	}
	return valid
}

// findPairs returns the certificates to present, and makes the self-signed ones
// if they are among them.
func (s *Server) findPairs(c *config.Config) ([]certs.Pair, error) {
	if len(c.Certificates) == 0 {
		if _, err := certs.SelfSigned(c.TLSFolder(), c.Hostname, s.log); err != nil {
			return nil, err
		}
	}
	return certificatePairs(c, s.log), nil
}

// selfSignedInterval is how often the self-signed certificates are checked. They end when
// the server has run for ten years, or sooner: a machine without a battery for its clock
// may have made them in what it took for 1970.
const selfSignedInterval = time.Hour

// renewSelfSigned replaces self-signed certificates that are not valid. The store notices
// the new files, and loads them.
func (s *Server) renewSelfSigned() {
	if len(s.config.Certificates) > 0 {
		return
	}
	if _, err := certs.SelfSigned(s.config.TLSFolder(), s.config.Hostname, s.log); err != nil {
		s.log.Error("cannot renew self-signed certificate; keeping current one", logkey.Err, err)
	}
}

// certificatePairs returns the configured certificates, then those obtained by
// ACME. If none are configured, self-signed ones come last: for the time until
// there are others, and for clients that know only RSA.
func certificatePairs(c *config.Config, log *slog.Logger) []certs.Pair {
	pairs := slices.Clone(c.Certificates)
	if c.ACME.Enabled {
		pairs = append(pairs, acme.Pairs(c.ACMEFolder(), c.ACME.Hosts, c.Files, log)...)
	}
	if len(c.Certificates) == 0 {
		pairs = append(pairs, certs.SelfSignedPairs(c.TLSFolder())...)
	}
	return pairs
}

// newRenewer returns nil if ACME is off.
func newRenewer(c *config.Config, log *slog.Logger) *acme.Renewer {
	if !c.ACME.Enabled {
		return nil
	}
	first := func(addresses []string) string {
		if len(addresses) == 0 {
			return ""
		}
		return addresses[0]
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

// renew obtains and renews certificates until ctx ends.
func (s *Server) renew(ctx context.Context) {
	if err := s.acme.Run(ctx); err != nil {
		s.log.Error("ACME disabled until restart; keeping current certificates", logkey.Err, err)
	}
}

// obtained receives a value when ACME has obtained certificates.
func (s *Server) obtained() <-chan struct{} {
	if s.acme == nil {
		return nil
	}
	return s.acme.Changes()
}
