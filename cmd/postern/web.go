package main

import (
	"crypto/tls"

	"postern/internal/config"
	"postern/internal/mtastsserve"
	"postern/internal/tlsrptin"
	"postern/internal/web"
)

// newWeb makes the server of what is said over HTTP.
func newWeb(s *service) *web.Server {
	settings := web.Settings{
		TLS:    &tls.Config{GetCertificate: s.store.GetCertificate, MinVersion: tls.VersionTLS12},
		Routes: s.routes(),
	}
	if s.acme != nil {
		settings.TLS, settings.Challenges = s.acme.Answering(settings.TLS), s.acme.Challenges()
	}
	return web.New(settings, s.log)
}

// routes are what the configuration in force wants answered over HTTPS.
func (s *service) routes() []web.Route {
	routes := s.policy.Routes()
	if path := s.config.Reports.Path; path != "" {
		routes = append(routes, web.Route{Pattern: path, MaxBody: tlsrptin.MaxBody, Handler: s.intake})
	}
	return routes
}

// policies are those that the configuration wants served.
func policies(c *config.Config) mtastsserve.Settings {
	if !c.MTASTS.Serve {
		return mtastsserve.Settings{}
	}
	return mtastsserve.Settings{Domains: c.MTASTS.Domains, Policy: c.MTASTS.Policy(), Resolver: c.MTASTS.Resolver}
}
