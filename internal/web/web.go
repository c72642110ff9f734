// Package web is the web listener: it answers HTTPS requests within limits of its own, so
// that web clients take no resources from mail.
//
//	server := web.New(web.Settings{TLS: config, Routes: routes}, log)
//	go server.Serve(listener)
//	defer server.Shutdown(ctx)
//
// Over plain HTTP it answers ACME challenges, and redirects all other requests to HTTPS.
//
// # Limits
//
// limits.go has the limits of clients. Each route has its maximum body size.
//
// # Concurrency
//
// A Server is safe for concurrent use. A request keeps the routes that it began with.
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

// Settings are what a server answers.
type Settings struct {
	// TLS has the certificates. Its NextProtos are offered in addition to those of HTTP.
	TLS *tls.Config

	// Challenges answers GET requests below /.well-known/acme-challenge/ over plain HTTP
	// (RFC 8555, Section 8.3). Nil: with status 404.
	Challenges http.Handler

	Routes []Route
}

// A Route is a handler for HTTPS requests.
type Route struct {
	// Pattern is a pattern of [http.ServeMux]. A host in it is in lower case, without a
	// port or final dot.
	Pattern string

	// MaxBody is the largest body, in bytes. A request with a larger Content-Length gets
	// status 413; without one, reading more returns an [http.MaxBytesError].
	MaxBody int64

	Handler http.Handler
}

// A Server answers requests on any number of listeners.
type Server struct {
	log        *slog.Logger
	admission  *admission.Limiter
	handshakes *admission.Handshakes
	tally      *admission.Tally // of what is refused
	routes     atomic.Pointer[http.ServeMux]
	secure     *http.Server
	plain      *http.Server
}

// New returns a server. It panics if two routes have the same pattern.
func New(settings Settings, log *slog.Logger) *Server {
	s := &Server{log: log, admission: admission.New(), handshakes: admission.NewHandshakes()}
	s.tally = admission.NewTally(logRate, s.sumUp)
	s.Apply(settings.Routes)
	s.secure = s.bounded(http.HandlerFunc(s.route))
	s.secure.TLSConfig = notesHello(settings.TLS)
	s.secure.Protocols.SetHTTP2(true)
	s.plain = s.bounded(plainHandler(settings.Challenges))
	return s
}

// Apply replaces the routes. It panics as [New] does.
func (s *Server) Apply(routes []Route) {
	mux := http.NewServeMux()
	for _, r := range routes {
		mux.Handle(r.Pattern, limitBody(r.Handler, r.MaxBody))
	}
	s.routes.Store(mux)
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) { s.routes.Load().ServeHTTP(w, r) }

// Serve answers HTTPS requests on ln until Shutdown, and then returns nil. It closes ln.
func (s *Server) Serve(ln net.Listener) error {
	return unlessClosed(s.secure.ServeTLS(&listener{ln, s, true}, "", ""))
}

// ServePlain is Serve for plain HTTP.
func (s *Server) ServePlain(ln net.Listener) error {
	return unlessClosed(s.plain.Serve(&listener{ln, s, false}))
}

func unlessClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown stops listening and waits until all requests are answered. If ctx is done
// before, it closes the remaining connections and returns the error of ctx.
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
	s.tally.Report()
	return errors.Join(errs...)
}

// plainHandler answers challenges, and redirects other requests to HTTPS.
func plainHandler(challenges http.Handler) http.Handler {
	if challenges == nil {
		challenges = http.NotFoundHandler()
	}
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/acme-challenge/", challenges)
	mux.HandleFunc("GET /", redirectToHTTPS)
	return limitBody(mux, 0)
}

// hostName matches hosts that are safe in a URL.
var hostName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?$`)

func redirectToHTTPS(w http.ResponseWriter, r *http.Request) {
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
