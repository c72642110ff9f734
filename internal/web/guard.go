package web

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"postern/internal/logkey"
	"postern/internal/safetext"
)

// guard wraps the handler of every request: it applies the limits, recovers from panics,
// and logs the request.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, response := time.Now(), &response{ResponseWriter: w}
		r.Host = CanonicalHost(r.Host)
		harden(w.Header())
		defer func() {
			var attributes []any
			if cause := recover(); cause != nil {
				if cause == http.ErrAbortHandler { // next aborts on purpose
					panic(cause)
				}
				attributes = []any{logkey.Err, fmt.Sprintf("panic: %v\n%s", cause, debug.Stack())}
				response.fail()
			}
			s.logRequest(r, response, start, attributes...)
		}()
		if over := s.admission.AllowStart(addressOf(r.RemoteAddr), quotas); over != nil {
			w.Header().Set("Retry-After", "60")
			w.Header().Set("Connection", "close")
			if over.Total() {
				http.Error(response, "too many requests from all clients", http.StatusServiceUnavailable)
			} else {
				http.Error(response, "too many requests from "+over.From(), http.StatusTooManyRequests)
			}
			return
		}
		next.ServeHTTP(response, r)
	})
}

// CanonicalHost returns a Host header in the form of a route's host: in lower case, without a
// port or final dot.
func CanonicalHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// harden sets headers that keep a browser from interpreting an answer. It does not set
// Strict-Transport-Security, which would apply to other servers of the host too, at any
// port.
func harden(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
}

// maxLogged bounds what the log shows of a client's text, in characters.
const maxLogged = 200

// logRequest logs a line for each request, and for refused and failed ones up to logRate.
// Refusals have level INFO, except those that every vulnerability scanner causes.
func (s *Server) logRequest(r *http.Request, response *response, start time.Time, more ...any) {
	level := slog.LevelDebug
	switch {
	case response.status >= 500:
		level = slog.LevelWarn
	case response.status >= 400 && response.status != http.StatusNotFound && response.status != http.StatusMethodNotAllowed:
		level = slog.LevelInfo
	}
	if level > slog.LevelDebug && !s.tally.Line(addressOf(r.RemoteAddr), refusedRequest) {
		return
	}
	s.log.Log(r.Context(), level, "web request", append([]any{
		logkey.Client, r.RemoteAddr,
		logkey.Method, clip(r.Method),
		logkey.Host, clip(r.Host),
		logkey.Path, clip(r.URL.Path),
		logkey.Status, response.status,
		logkey.Bytes, response.bytes,
		logkey.Duration, time.Since(start).Round(time.Millisecond),
	}, more...)...)
}

func clip(s string) string { return safetext.Shorten(s, maxLogged) }

// A response records the status and size of what was written.
type response struct {
	http.ResponseWriter
	status int // 0: nothing written yet
	bytes  int64
}

// Unwrap is for [http.ResponseController].
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader writes the status.
func (r *response) WriteHeader(status int) {
	if r.status < 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body.
func (r *response) Write(p []byte) (int, error) {
	if r.status < 200 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// fail answers with status 500, if nothing was written yet.
func (r *response) fail() {
	if r.status < 200 {
		http.Error(r, "internal error", http.StatusInternalServerError)
	}
	r.status = http.StatusInternalServerError
}
