package testpeer

import (
	"fmt"
	"net/http"
	"os/exec"
)

// PrometheusOptions configure a Prometheus.
type PrometheusOptions struct {
	Target       string // host:port of what it scrapes, as the job postern
	TokenFile    string // of the bearer token; empty: none
	Rules        string // file of alerting rules
	Alertmanager string // host:port
}

// StartPrometheus starts Prometheus, which scrapes and evaluates its rules each second, and returns
// its address.
func StartPrometheus(t T, o PrometheusOptions) (addr string) {
	t.Helper()
	binary := program(t, "prometheus")
	dir, addr := newFolder(t), FreeAddr(t)
	authorization := ""
	if o.TokenFile != "" {
		authorization = "\n    authorization: {credentials_file: " + o.TokenFile + "}"
	}
	config := dir.write(t, "prometheus.yml", fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
alerting:
  alertmanagers:
    - static_configs: [{targets: [%q]}]
scrape_configs:
  - job_name: postern%s
    static_configs: [{targets: [%q]}]
`, o.Rules, o.Alertmanager, authorization, o.Target))
	cmd := exec.Command(binary, "--config.file="+config, "--storage.tsdb.path="+dir.path("data"), "--web.listen-address="+addr)
	d := startDaemon(t, "prometheus", dir, cmd)
	awaitHealthy(t, d, "http://"+addr+"/-/ready")
	return addr
}

// StartAlertmanager starts Alertmanager, which sends each alert to a webhook at once, and returns
// its address.
func StartAlertmanager(t T, webhook string) (addr string) {
	t.Helper()
	binary := program(t, "prometheus-alertmanager")
	dir, addr := newFolder(t), FreeAddr(t)
	config := dir.write(t, "alertmanager.yml", fmt.Sprintf(`route: {receiver: test, group_by: ["..."], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: test
    webhook_configs: [{url: %q, send_resolved: true}]
`, webhook))
	cmd := exec.Command(binary, "--config.file="+config, "--storage.path="+dir.path("data"), "--web.listen-address="+addr, "--cluster.listen-address=")
	d := startDaemon(t, "alertmanager", dir, cmd)
	awaitHealthy(t, d, "http://"+addr+"/-/ready")
	return addr
}

// awaitHealthy waits until a URL answers 200.
func awaitHealthy(t T, d *daemon, url string) {
	t.Helper()
	client := http.Client{Timeout: awaitTimeout}
	defer client.CloseIdleConnections()
	await(t, d, url, func() error {
		answer, err := client.Get(url)
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", answer.Status)
		}
		return nil
	})
}

// Promtool runs promtool in a folder and fails the test if promtool does.
func Promtool(t T, folder string, args ...string) {
	t.Helper()
	cmd := exec.Command(program(t, "promtool"), args...)
	cmd.Dir = folder
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("promtool %v: %v\n%s", args, err, said)
	}
}
