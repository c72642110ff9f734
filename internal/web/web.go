// Package web is the web listener: what Postern says over HTTPS to strangers,
// within limits of its own, so that they take nothing from mail.
//
//	server := web.New(web.Settings{TLS: config, Routes: routes}, log)
//	go server.Serve(listener)
//	defer server.Shutdown(ctx)
//
// Over HTTP in the clear it answers ACME challenges, and sends everybody else to
// HTTPS.
//
// # Limits
//
// What a client may have is in limits.go. A route says how large a body it takes.
//
// # Concurrency
//
// A Server is safe for concurrent use. A request keeps the routes it began with.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"

	"postern/internal/admission"
)

// Settings say what a server answers.
type Settings struct {
	// TLS chooses the certificates. Its NextProtos are offered besides those of HTTP.
	TLS *tls.Config

	// Challenges answers GET below /.well-known/acme-challenge/ in the clear (RFC 8555,
	// Section 8.3). Nil: there is nothing.
	Challenges http.Handler

	Routes []Route
}

// A Route is what is answered over HTTPS at one place.
type Route struct {
	// Pattern is one of [http.ServeMux]. A host in it is in lower case, without a
	// port and a dot at its end.
	Pattern string

	// MaxBody is how many bytes a request may bring. One that announces more gets
	// status 413; else reading on is an [http.MaxBytesError].
	MaxBody int64

	Handler http.Handler
}

// A Server answers on any number of listeners.
type Server struct {
	log       *slog.Logger
	admission *admission.Limiter
	routes    atomic.Pointer[http.ServeMux]
	secure    *http.Server
	plain     *http.Server
}

// New makes a server. It panics where two routes have one pattern.
func New(settings Settings, log *slog.Logger) *Server {
	s := &Server{log: log, admission: admission.New()}
	s.Apply(settings.Routes)
	s.secure = s.bounded(http.HandlerFunc(s.route))
	s.secure.TLSConfig = settings.TLS
	s.secure.Protocols.SetHTTP2(true)
	s.plain = s.bounded(inTheClear(settings.Challenges))
	return s
}

// Apply puts other routes in force. It panics as [New] does.
func (s *Server) Apply(routes []Route) {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Pattern, limitBody(r.Handler, r.MaxBody))
	}
	s.routes.Store(mux)
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) { s.routes.Load().ServeHTTP(w, r) }

// Serve answers HTTPS on ln until Shutdown, and then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	return unlessClosed(s.secure.ServeTLS(&listener{ln, s}, "", ""))
}

// ServePlain is Serve for HTTP in the clear.
func (s *Server) ServePlain(ln net.Listener) error {
	return unlessClosed(s.plain.Serve(&listener{ln, s}))
}

func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops listening and waits until what is asked has been answered. When
// ctx ends, the rest is cut off and ctx's error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	servers := []*http.Server{s.secure, s.plain}
	errs := make([]error, len(servers))
	var draining sync.WaitGroup
	for i, server := range servers {
		draining.Go(func() {
			if errs[i] = server.Shutdown(ctx); errs[i] != nil {
				server.Close()
			}
		})
	}
	draining.Wait()
	return errors.Join(errs...)
}

// inTheClear answers challenges, and sends who asks for anything else to HTTPS.
func inTheClear(challenges http.Handler) http.Handler {
	if challenges == nil {
		challenges = http.NotFoundHandler()
	}
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/acme-challenge/", challenges)
	mux.HandleFunc("GET /", toHTTPS)
	return limitBody(mux, 0)
}

// hostName is what stands in a URL without harm.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$`)

func toHTTPS(w http.ResponseWriter, r *http.Request) {
	if !hostName.MatchString(r.Host) {
		http.Error(w, "no such host", http.StatusBadRequest)
		return
	}
	to := "https://" + r.Host + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	http.Redirect(w, r, to, http.StatusPermanentRedirect)
}
