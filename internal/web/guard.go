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

// guard is around every request: it counts it, answers for what goes wrong in next
// and writes its line in the log.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began, answer := time.Now(), &answer{ResponseWriter: w}
		r.Host = canonicalHost(r.Host)
		harden(w.Header())
		defer func() {
			var attributes []any
			if cause := recover(); cause != nil {
				if cause == http.ErrAbortHandler { // next wants it so
					panic(cause)
				}
				attributes = []any{logkey.Err, fmt.Sprintf("panic: %v\n%s", cause, debug.Stack())}
				answer.fail()
			}
			s.logAnswer(r, answer, began, attributes...)
		}()
		if !s.admission.AllowStart(networkOf(r.RemoteAddr), shares) {
			w.Header().Set("Retry-After", "60")
			w.Header().Set("Connection", "close")
			http.Error(answer, "too many requests from your network", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(answer, r)
	})
}

// canonicalHost is the host asked for as routes have it.
func canonicalHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// harden sets what keeps a browser from making more of an answer than it is. There
// is no Strict-Transport-Security: it would hold for other servers of the host too,
// at whatever port.
func harden(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
}

// maxLogged bounds what the log shows of a client's text, in characters.
const maxLogged = 200

// logAnswer writes one line for each request. Refusals are seen at INFO, but for what
// everybody who searches for holes asks for in vain.
func (s *Server) logAnswer(r *http.Request, a *answer, began time.Time, more ...any) {
	level := slog.LevelDebug
	switch {
	case a.status >= 500:
		level = slog.LevelWarn
	case a.status >= 400 && a.status != http.StatusNotFound && a.status != http.StatusMethodNotAllowed:
		level = slog.LevelInfo
	}
	s.log.Log(r.Context(), level, "web request", append([]any{
		logkey.Client, r.RemoteAddr,
		logkey.Method, clip(r.Method),
		logkey.Host, clip(r.Host),
		logkey.Path, clip(r.URL.Path),
		logkey.Status, a.status,
		logkey.Bytes, a.bytes,
		logkey.Duration, time.Since(began).Round(time.Millisecond),
	}, more...)...)
}

func clip(s string) string { return safetext.Shorten(s, maxLogged) }

// An answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int // 0: nothing yet
	bytes  int64
}

// Unwrap is for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader sends the status.
func (a *answer) WriteHeader(status int) {
	if a.status < 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write sends a part of the body.
func (a *answer) Write(p []byte) (int, error) {
	if a.status < 200 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// fail says that the answer could not be made, if that can still be said.
func (a *answer) fail() {
	if a.status < 200 {
		http.Error(a, "something is wrong here", http.StatusInternalServerError)
	}
	a.status = http.StatusInternalServerError
}
