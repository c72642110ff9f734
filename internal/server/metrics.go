package server

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"postern/internal/config"
	"postern/internal/ledger"
	"postern/internal/logkey"
	"postern/internal/metrics"
)

// state is what the metrics ask at each scrape.
func (s *Server) state() metrics.State {
	state := metrics.State{SMTP: s.smtp.State(), Ledger: s.observer.ledger.Stats(), Policies: s.policy.Modes(), Findings: s.checks.Findings()}
	for _, cert := range s.store.Certificates() {
		state.Certificates = append(state.Certificates, cert.Leaf)
	}
	if s.fleet != nil {
		status := s.fleet.Status()
		state.Fleet = &status
	}
	return state
}

// A countedStore counts the reports that are stored for the first time.
type countedStore struct {
	*ledger.Ledger
	metrics *metrics.Metrics
}

// AddReport stores a report.
func (c countedStore) AddReport(ctx context.Context, r ledger.Report) (ledger.AddedReport, error) {
	added, err := c.Ledger.AddReport(ctx, r)
	if err == nil && added.New {
		c.metrics.ReportStored(r)
	}
	return added, err
}

// A metricsServer serves the metrics to Prometheus, and the state to health checks, on an
// address of its own.
type metricsServer struct {
	*plainHTTP
	log *slog.Logger
}

// maxScrapers bounds the connections to the address.
const maxScrapers = 64

// openMetrics listens for scrapes. It returns nil if metrics are off, or the address cannot be
// had: mail does not wait for it.
func openMetrics(c config.Metrics, scrape http.Handler, ready func() error, log *slog.Logger) *metricsServer {
	if c.Listen == config.Off {
		return nil
	}
	ln, err := net.Listen("tcp", c.Listen)
	if err != nil {
		log.Warn("no metrics", logkey.Address, c.Listen, logkey.Err, withoutAddress(err),
			logkey.Remedy, `set another address with listen in [metrics], or "off"`)
		return nil
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", withToken(c.Token, scrape))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("alive\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ready\n"))
	})
	return &metricsServer{newPlainHTTP(ln, maxScrapers, mux, log), log}
}

// withToken lets only requests with a bearer token through (RFC 6750, Section 2.1), if there is
// one.
func withToken(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(given))
		if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "send the token of token-file in [metrics] as a bearer token", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (m *metricsServer) serve() {
	if m == nil {
		return
	}
	if err := m.plainHTTP.serve(); err != nil {
		m.log.Warn("metrics stopped", logkey.Err, err)
	}
}

func (m *metricsServer) close() {
	if m != nil {
		m.plainHTTP.close()
	}
}

// MetricsURL returns the URL of the metrics, or nothing if there are none.
func (s *Server) MetricsURL() string {
	if s.scrapes == nil {
		return ""
	}
	return s.scrapes.url("/metrics")
}
