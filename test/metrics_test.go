package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

const (
	rulesFolder   = "../deploy/prometheus"
	dashboardFile = "../deploy/grafana/postern.json"
)

// The rules fire and resolve as their tests say.
func TestAlertingRules(t *testing.T) {
	t.Parallel()
	testpeer.Promtool(t, rulesFolder, "check", "rules", "postern.rules.yml")
	testpeer.Promtool(t, rulesFolder, "test", "rules", "postern.test.yml")
}

// October 2024, with Prometheus and Alertmanager: a strict sender fails twice, the alert reaches
// the administrator with the case, and when the sender delivers it is over. Each expression of
// the Grafana dashboard is evaluated by the same Prometheus.
func TestAnAlertIsDeliveredAndResolves(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef0123456789abcdef"
	dir := t.TempDir()
	tokenFile := filepath.Join(dir, "token")
	if err := os.WriteFile(tokenFile, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "postern.toml")
	if err := os.WriteFile(config, []byte("[metrics]\ntoken-file = '"+tokenFile+"'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", config, "--mode", "stock", "--metrics", "127.0.0.1:0")
	target := strings.TrimSuffix(strings.TrimPrefix(regexp.MustCompile(`http://\S+`).FindString(p.await(0, "  metrics ")), "http://"), "/metrics")

	alerts := make(chan alert, 100)
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message struct{ Alerts []alert }
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, a := range message.Alerts {
			alerts <- a
		}
	}))
	defer webhook.Close()
	prometheus := prometheusAPI{t, "http://" + testpeer.StartPrometheus(t, testpeer.PrometheusOptions{
		Target: target, TokenFile: tokenFile, Rules: shortened(t, dir), Alertmanager: testpeer.StartAlertmanager(t, webhook.URL),
	})}
	prometheus.await(`postern_handshake_failures_total{case="early-ticket",mode="stock"} == 0`)

	// Two networks fail once each, and then fall back.
	for _, network := range []string{"127.0.1.1", "127.0.2.1"} {
		p.meetEarlyTicketFrom(network, testsmtp.OpportunisticTLS())
	}
	firing := awaitAlert(t, alerts, "PosternHandshakesFail", "firing")
	if firing.Labels["case"] != "early-ticket" || !strings.Contains(firing.Annotations["description"], "postern handshakes --failed --case early-ticket") {
		t.Errorf("the alert says %v %v", firing.Labels, firing.Annotations)
	}
	prometheus.await(`postern_fallback_decisions_total{kind="fell-back",mode="own-write"} >= 1`)

	if _, err := deliverStrictlyAs("strict.test", "127.0.1.1", p.addr, testsmtp.OpportunisticTLS()); err != nil {
		t.Errorf("after the fallback: %v", err)
	}
	prometheus.await(`postern_messages_total >= 1`)
	awaitAlert(t, alerts, "PosternHandshakesFail", "resolved")

	for _, expression := range dashboardExpressions(t) {
		prometheus.evaluates(expression)
	}
}

// shortened is the file of rules with windows of seconds in place of minutes, and without waits:
// the test takes no half hour.
func shortened(t *testing.T, dir string) string {
	t.Helper()
	rules, err := os.ReadFile(filepath.Join(rulesFolder, "postern.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`\[\d+m\]`).ReplaceAllString(string(rules), "[15s]")
	text = regexp.MustCompile(`for: \w+`).ReplaceAllString(text, "for: 0s")
	file := filepath.Join(dir, "rules.yml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// An alert is what Alertmanager sends to a webhook.
type alert struct {
	Status              string
	Labels, Annotations map[string]string
}

// awaitAlert waits for an alert in a state.
func awaitAlert(t *testing.T, alerts <-chan alert, name, status string) alert {
	t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case a := <-alerts:
			if a.Labels["alertname"] == name && a.Status == status {
				return a
			}
		case <-deadline:
			t.Fatalf("no alert %s is %s after %v", name, status, patience)
		}
	}
}

// A prometheusAPI asks a Prometheus.
type prometheusAPI struct {
	t   *testing.T
	url string
}

// query returns how many series an expression has now.
func (p prometheusAPI) query(expression string) (series int, err error) {
	answer, err := http.Get(p.url + "/api/v1/query?" + url.Values{"query": {expression}}.Encode())
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	var result struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.Unmarshal(body, &result); err != nil || result.Status != "success" {
		return 0, fmt.Errorf("%s: %s", expression, body)
	}
	return len(result.Data.Result), nil
}

// await waits until an expression has a series.
func (p prometheusAPI) await(expression string) {
	p.t.Helper()
	eventually(p.t, func() error {
		n, err := p.query(expression)
		if err == nil && n == 0 {
			err = fmt.Errorf("%s has no series", expression)
		}
		return err
	})
}

// evaluates checks that an expression is valid, and has series unless it filters them. After a
// scrape that took too long there are none, until the next one.
func (p prometheusAPI) evaluates(expression string) {
	p.t.Helper()
	if _, err := p.query(expression); err != nil {
		p.t.Error(err)
	} else if !strings.HasSuffix(expression, "> 0") && !strings.Contains(expression, "dkim") && !strings.Contains(expression, "probe_findings") {
		p.await(expression)
	}
}

// dashboardExpressions are those of the Grafana dashboard, with its variables replaced.
func dashboardExpressions(t *testing.T) (all []string) {
	t.Helper()
	content, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(content, &dashboard); err != nil {
		t.Fatal(err)
	}
	variables := strings.NewReplacer("$instance", ".*", "$__rate_interval", "1m")
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, variables.Replace(target.Expr))
		}
	}
	if len(all) < 20 {
		t.Fatalf("the dashboard has %d expressions", len(all))
	}
	return all
}
