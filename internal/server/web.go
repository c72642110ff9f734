package server

import (
	"crypto/tls"
	"log/slog"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/metrics"
	"postern/internal/tlsrptin"
	"postern/internal/web"
)

// newWeb makes the web server, which answers for MTA-STS, TLS reports, ACME and the dashboard.
func newWeb(s *Server) *web.Server {
	settings := web.Settings{
		TLS:    &tls.Config{GetCertificate: s.store.GetCertificate, MinVersion: tls.VersionTLS12},
		Routes: s.routes(),
	}
	if s.acme != nil {
		settings.TLS, settings.Challenges = s.acme.TLSConfig(settings.TLS), s.acme.ChallengeHandler()
	}
	return web.New(settings, s.log)
}

// routes are the HTTPS routes of the current configuration.
func (s *Server) routes() []web.Route {
	host := s.config.Dashboard.Host
	routes := append(s.policy.Routes(), s.dashboard.routes(host)...)
	if path := s.config.Reports.Path; path != "" {
		routes = append(routes, web.Route{Pattern: path, MaxBody: tlsrptin.MaxBody, Handler: s.reports})
		if host != "" { // whose other paths are the dashboard's
			routes = append(routes, web.Route{Pattern: host + path, MaxBody: tlsrptin.MaxBody, Handler: s.reports})
		}
	}
	return routes
}

// newIntake makes the receiver of TLS reports, by mail and by HTTPS.
func newIntake(r config.Reports, book *ledger.Ledger, m *metrics.Metrics, log *slog.Logger) *tlsrptin.Receiver {
	return tlsrptin.New(tlsrptin.Settings{
		Addresses: r.Addresses,
		Only:      r.Delivery == config.Only,
		Resolver:  r.Resolver,
		Verified:  m.DKIMVerified,
	}, countedStore{book, m}, log)
}
