package server

import (
	"crypto"
	"slices"

	"postern/internal/certs"
	"postern/internal/config"
	"postern/internal/dnsrecords"
	"postern/internal/probe"
	"postern/internal/selfcheck"
)

// newSelfChecks makes the runner of the server's checks of itself.
func newSelfChecks(s *Server) *selfcheck.Runner {
	prober := probe.Prober{Key: s.probeKey, Resolver: s.config.SelfCheck.Resolver}
	return selfcheck.New(s.selfChecks(s.config), prober, s.observer.ledger, config.LedgerFile(s.config.Data), s.log)
}

// CheckPublished makes the server's checks of itself connect as prober does to the hosts that DNS
// names, although only this machine can reach them: for a server with DNS of its own. It must be
// called before Start.
func (s *Server) CheckPublished(prober probe.Prober) {
	prober.Key = s.probeKey
	s.checks.Connect(prober)
	s.published = true
}

// Check starts a check of the server's hosts and domains, as the dashboard's button does. The error
// is [selfcheck.ErrRunning] or [selfcheck.ErrTooSoon].
func (s *Server) Check() error { return s.checks.Request() }

// selfChecks are the checks of a configuration.
func (s *Server) selfChecks(c *config.Config) selfcheck.Settings {
	after, off := c.SelfCheckTime()
	settings := selfcheck.Settings{
		Hostname: c.Hostname, Domains: c.DomainNames(),
		Daily: off == "", At: after, Why: off,
		Records: func(domain string) (dnsrecords.Config, dnsrecords.NextKey, error) { return DNSRecords(c, domain) },
	}
	settings.Domains = slices.DeleteFunc(settings.Domains, func(domain string) bool { return domain == "localhost" })
	if c.Private() != "" && !s.published {
		settings.Local = s.local
	}
	return settings
}

// localAddress returns the address by which this machine reaches a mail listener, or nothing.
func localAddress(listeners []Listener) string {
	for _, ln := range listeners {
		if ln.Protocol != STARTTLS {
			continue
		}
		if at, ok := ReachedAt(ln.Addr().String()); ok { // else a socket in the file system
			return at.String()
		}
	}
	return ""
}

// DNSRecords returns what the records of a domain follow from, and the key that is prepared for
// the next certificate of the host.
func DNSRecords(c *config.Config, domain string) (dnsrecords.Config, dnsrecords.NextKey, error) {
	next := NextKey(c)
	required := dnsrecords.Config{
		Domain: domain, Host: c.Hostname, Report: "mailto:" + c.Reports.AddressFor(domain), Issuer: c.ACME.Issuer(), Keys: next.Current,
	}
	if c.MTASTS.Enabled {
		policy := c.MTASTS.Policy()
		required.Policy = &policy
	}
	var err error
	required.Next, err = next.Public()
	return required, next, err
}

// NextKey returns the place of the key that is prepared for the next certificate of the host.
func NextKey(c *config.Config) dnsrecords.NextKey {
	return dnsrecords.NextKey{File: c.NextKeyFile(), Current: currentKeys(c)}
}

// currentKeys are the keys of the certificates that the host presents.
func currentKeys(c *config.Config) (keys []crypto.PublicKey) {
	for _, cert := range certs.ForName(c.Hostname, Certificates(c)) {
		keys = append(keys, cert.Leaf.PublicKey)
	}
	return keys
}
