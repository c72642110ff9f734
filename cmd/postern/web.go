package main

import (
	"crypto/tls"

	"postern/internal/web"
)

// newWeb makes the server of what is said over HTTP.
func newWeb(s *service) *web.Server {
	return web.New(web.Settings{
		TLS:    &tls.Config{GetCertificate: s.store.GetCertificate, MinVersion: tls.VersionTLS12},
		Routes: s.routes(),
	}, s.log)
}

// routes are what the configuration in force wants answered over HTTPS.
func (s *service) routes() []web.Route { return nil }
