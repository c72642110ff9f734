package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/config"
	"postern/internal/metrics"
	"postern/internal/nexthop/maildir"
	"postern/sessionticket"
)

// get returns the answer of a metrics server.
func get(t *testing.T, s *metricsServer, path, authorization string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.listener.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	all, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(all)
}

func serveMetrics(t *testing.T, token string, ready func() error) *metricsServer {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	s := openMetrics(config.Metrics{Listen: "127.0.0.1:0", Token: token}, metrics.New().Handler(log), ready, log)
	go s.serve()
	t.Cleanup(s.close)
	return s
}

func TestAScrapeNeedsTheToken(t *testing.T) {
	const token = "0123456789abcdef"
	s := serveMetrics(t, token, func() error { return nil })
	for authorization, want := range map[string]int{
		"":                    401,
		"Bearer":              401,
		"Bearer 0123456789":   401,
		"Basic " + token:      401,
		token:                 401,
		"Bearer " + token:     200,
		"bearer " + token:     200,
		"Bearer " + token[1:]: 401,
	} {
		status, body := get(t, s, "/metrics", authorization)
		if status != want || strings.Contains(body, "postern_sessions_total") != (want == 200) || strings.Contains(body, token) {
			t.Errorf("%q: status %d, want %d", authorization, status, want)
		}
	}
	if status, _ := get(t, s, "/readyz", ""); status != 200 {
		t.Errorf("a health check without the token: %d", status)
	}
}

func TestHealthChecks(t *testing.T) {
	var err error
	s := serveMetrics(t, "", func() error { return err })
	for _, tt := range []struct {
		path   string
		err    error
		status int
		body   string
	}{
		{"/healthz", errDraining, 200, "alive\n"},
		{"/readyz", nil, 200, "ready\n"},
		{"/readyz", errNextHop, 503, "not ready: the next hop takes no mail\n"},
		{"/elsewhere", nil, 404, "404 page not found\n"},
	} {
		err = tt.err
		if status, body := get(t, s, tt.path, ""); status != tt.status || body != tt.body {
			t.Errorf("%s with %v: %d %q", tt.path, tt.err, status, body)
		}
	}
}

// Mail is accepted without metrics, and the log says what to do.
func TestATakenAddressOfMetricsIsLogged(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	log := make(lines, 1)
	c := config.Metrics{Listen: taken.Addr().String()}
	if s := openMetrics(c, nil, nil, slog.New(slog.NewTextHandler(log, nil))); s != nil {
		t.Error("it listens")
	}
	if line := <-log; !strings.Contains(line, "no metrics") || !strings.Contains(line, "set another address with listen in [metrics]") {
		t.Error(line)
	}
	if s := openMetrics(config.Metrics{Listen: config.Off}, nil, nil, nil); s != nil {
		t.Error("it listens, and is off")
	}
}

// Whoever asks often costs the next hop one question in ten seconds.
func TestReadinessAsksTheNextHopSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, down, draining := 0, error(nil), false
		r := readiness{draining: func() bool { return draining }, nextHop: func(ctx context.Context) error {
			if end, ok := ctx.Deadline(); !ok || time.Until(end) > readyTime {
				t.Error("the question has no end")
			}
			asked++
			return down
		}}
		for range 100 {
			if err := r.check(); err != nil {
				t.Fatal(err)
			}
		}
		down = errors.New("dial tcp 10.0.0.1:25: connection refused")
		if err := r.check(); err != nil || asked != 1 {
			t.Errorf("asked %d times: %v", asked, err)
		}
		time.Sleep(readyAge)
		if err := r.check(); err != errNextHop || asked != 2 {
			t.Errorf("asked %d times, then %v", asked, err)
		}
		down = nil
		time.Sleep(readyAge)
		if err := r.check(); err != nil {
			t.Errorf("again up: %v", err)
		}
		draining = true
		if err := r.check(); err != errDraining {
			t.Errorf("draining: %v", err)
		}
	})
}

// A Maildir whose folder is gone takes no mail.
func TestReadinessOfAMaildir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "maildir")
	hop, err := maildir.New(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer hop.Close()
	check := nextHopCheck(hop)
	if err := check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(dir + "/*/*"); len(left) > 0 {
		t.Errorf("a check leaves %v", left)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context()); err == nil {
		t.Error("ready without a folder")
	}
}

// The observer counts what it sees: the failure of a strict sender, and what the fallback does.
func TestTheObserverCounts(t *testing.T) {
	o := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	defer o.Close()
	o.names = newNames(&reverseZone{names: map[string]string{"192.0.2.7": "mail-1.outbound.protection.outlook.com."}}, o.ledger.AddName)
	go o.names.run(t.Context())
	o.ended(t, strict(t, "S1", sessionticket.Stock)) // before its name is known
	named := make(chan string)
	o.names.whenKnown(sender, func(name string) { go func() { named <- name }() })
	<-named
	o.ended(t, mailed("S2", o.mode()))
	s := openMetrics(config.Metrics{Listen: "127.0.0.1:0"}, o.metrics.Handler(o.log), nil, o.log)
	go s.serve()
	defer s.close()
	_, text := get(t, s, "/metrics", "")
	for _, line := range []string{
		`postern_handshake_failures_total{case="early-ticket",mode="stock"} 1`,
		`postern_fallback_decisions_total{kind="fell-back",mode="own-write"} 1`,
		`postern_sessions_total{result="handshake_failed",resumed="false",tls="none"} 1`,
		`postern_sessions_total{result="delivered",resumed="false",tls="1.3"} 1`,
		`postern_organization_sessions_total{organization="outlook.com",result="handshake_failed"} 1`,
		`postern_organization_sessions_total{organization="outlook.com",result="delivered"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
}
