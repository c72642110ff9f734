package main

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

// A sizedConfig is a configuration of a size that is compared with one four times as large.
type sizedConfig struct {
	what   string
	small  int
	most   time.Duration // CPU time of a start with the larger one
	write  func(s *testpeer.Scope, dir, addr string, size int) (file string)
	change func(s *testpeer.Scope, dir string)
}

var sizedConfigs = []sizedConfig{
	{"domains with 10 recipients each, with MTA-STS", 25_000, 5 * time.Second, writeDomains, addDomain},
	{"certificates", 5_000, 10 * time.Second, writeCertificates, renewCertificate},
}

// timesLarger is how many times larger the second configuration is, and timesMore how many
// times more its CPU time may be.
const (
	timesLarger = 4
	timesMore   = 4.5
)

// measureScale measures the start with configurations of two sizes, and the reload after one
// of their parts has changed.
func measureScale(s *testpeer.Scope, p plan, r *result) error {
	program := build(s, "./cmd/postern")
	r.header("of", "CPU of", "with", "CPU time", "with", "CPU time", "times")
	for _, sized := range sizedConfigs {
		larger := timesLarger * sized.small
		small, err := p.startAndReload(s, program, sized, sized.small)
		if err != nil {
			return err
		}
		large, err := p.startAndReload(s, program, sized, larger)
		if err != nil {
			return err
		}
		starts, reloads := factor(ratio(large.start, small.start)), factor(ratio(large.reload, small.reload))
		r.row(sized.what, "start", sized.small, small.start, larger, large.start, starts)
		r.row(sized.what, "reload after one has changed", sized.small, small.reload, larger, large.reload, reloads)
		atMost(r, fmt.Sprintf("start with %d %s to %d", larger, sized.what, sized.small), starts, timesMore)
		atMost(r, fmt.Sprintf("reload with %d %s to %d", larger, sized.what, sized.small), reloads, timesMore)
		atMost(r, fmt.Sprintf("start with %d %s", larger, sized.what), large.start, sized.most)
	}
	return measureChoice(s, p, r, program)
}

// A lifetime has the CPU times of a server.
type lifetime struct{ start, reload time.Duration }

// startAndReload returns the medians of the rounds.
func (p plan) startAndReload(s *testpeer.Scope, program string, sized sizedConfig, size int) (lifetime, error) {
	rounds := make([]lifetime, p.rounds)
	dir, addr := s.TempDir(), testpeer.FreeAddr(s)
	file := sized.write(s, dir, addr, size)
	for i := range rounds {
		server := startProcess(s, addr, program, "serve", "--config", file, "--data", s.TempDir())
		m, err := newMeter(addr)
		if err != nil {
			return lifetime{}, err
		}
		if rounds[i].start, err = m.read(); err != nil {
			return lifetime{}, err
		}
		sized.change(s, dir)
		if err := server.reload(); err != nil {
			return lifetime{}, err
		}
		both, err := m.read()
		if err != nil {
			return lifetime{}, err
		}
		rounds[i].reload = both - rounds[i].start
		server.stop()
		fmt.Fprintf(os.Stderr, "%d %s: start %v, reload %v\n", size, sized.what, rounds[i].start, rounds[i].reload)
	}
	return lifetime{
		medianTime(rounds, func(i int) time.Duration { return rounds[i].start }),
		medianTime(rounds, func(i int) time.Duration { return rounds[i].reload }),
	}, nil
}

// reload makes Postern reload its configuration and waits until it has.
func (p *process) reload() error {
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	return await(func() error {
		if text := lastOutput(p.output); !strings.Contains(text, `msg="configuration reloaded"`) {
			return fmt.Errorf("not reloaded:\n%s", text)
		}
		return nil
	})
}

func writeFile(s *testpeer.Scope, file, text string) {
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		s.Fatalf("%v", err)
	}
}

// writeDomains writes a configuration with domains, and a certificate, since making a
// self-signed one takes longer or shorter.
func writeDomains(s *testpeer.Scope, dir, addr string, size int) string {
	cert := testcert.New(s, testcert.Options{})
	var domains, recipients strings.Builder
	for i := range size {
		fmt.Fprintf(&domains, "  \"d%d.example.org\",\n", i)
		for j := range 10 {
			fmt.Fprintf(&recipients, "  \"user%d@d%d.example.org\",\n", j, i)
		}
	}
	file := filepath.Join(dir, "postern.toml")
	writeFile(s, file, fmt.Sprintf(`hostname = "mx.example.org"
listen = [%q]
dashboard.listen = "off"
metrics.listen = "off"
domains = [
%s]
recipients = [
%s]
[web]
listen = ["127.0.0.1:0"]
[mta-sts]
[[certificate]]
cert = %q
key = %q
`, addr, domains.String(), recipients.String(), cert.CertFile, cert.KeyFile))
	return file
}

func addDomain(s *testpeer.Scope, dir string) {
	file := filepath.Join(dir, "postern.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		s.Fatalf("%v", err)
	}
	writeFile(s, file, strings.Replace(string(text), "domains = [\n", "domains = [\n  \"one-more.example.org\",\n", 1))
}

// writeCertificates writes a configuration with certificates, each for a name of its own.
func writeCertificates(s *testpeer.Scope, dir, addr string, size int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "hostname = \"mx.example.org\"\nlisten = [%q]\ndashboard.listen = \"off\"\nmetrics.listen = \"off\"\n", addr)
	for i := range size {
		pair := testcert.New(s, testcert.Options{Names: []string{fmt.Sprintf("mx%d.example.org", i)}, NotAfter: time.Now().AddDate(0, 2, 0)})
		if i == 0 {
			put(s, pair, dir)
			pair.CertFile, pair.KeyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
		}
		fmt.Fprintf(&text, "[[certificate]]\ncert = %q\nkey = %q\n", pair.CertFile, pair.KeyFile)
	}
	file := filepath.Join(dir, "postern.toml")
	writeFile(s, file, text.String())
	return file
}

func renewCertificate(s *testpeer.Scope, dir string) {
	put(s, testcert.New(s, testcert.Options{Names: []string{"mx0.example.org"}, NotAfter: time.Now().AddDate(0, 2, 0)}), dir)
}

// put moves a pair into a folder.
func put(s *testpeer.Scope, pair *testcert.Pair, dir string) {
	for from, to := range map[string]string{pair.CertFile: "cert.pem", pair.KeyFile: "key.pem"} {
		if err := os.Rename(from, filepath.Join(dir, to)); err != nil {
			s.Fatalf("%v", err)
		}
	}
}

// measureChoice measures a session whose client supports none of the certificates: among
// thousands, and with one.
func measureChoice(s *testpeer.Scope, p plan, r *result, program string) error {
	const many = 5_000
	var servers []*process
	for _, size := range []int{1, many} {
		addr := testpeer.FreeAddr(s)
		file := writeCertificates(s, s.TempDir(), addr, size)
		appendFile(s, file, loadLimits)
		servers = append(servers, startProcess(s, addr, program, "serve", "--config", file, "--data", s.TempDir()))
	}
	costs := make([][2]time.Duration, p.rounds)
	for i := range costs {
		for j, server := range servers {
			used, err := metered(server.addr, func() error { return refusedHandshakes(server.addr, p.handshakes) })
			if err != nil {
				return err
			}
			costs[i][j] = each(used, p.handshakes)
		}
	}
	few := medianTime(costs, func(i int) time.Duration { return costs[i][0] })
	lots := medianTime(costs, func(i int) time.Duration { return costs[i][1] })
	times := factor(median(costs, func(i int) float64 { return ratio(costs[i][1], costs[i][0]) }))
	r.row("ECDSA certificates", "session of an RSA-only client, which fails", 1, few, many, lots, times)
	atMost(r, fmt.Sprintf("session of an RSA-only client with %d ECDSA certificates to 1", many), times, 1.1)
	return nil
}

func appendFile(s *testpeer.Scope, file, text string) {
	old, err := os.ReadFile(file)
	if err != nil {
		s.Fatalf("%v", err)
	}
	writeFile(s, file, string(old)+text)
}

// refusedHandshakes opens sessions whose handshakes fail, since the client supports only RSA.
func refusedHandshakes(addr string, count int) error {
	client := &tls.Config{
		InsecureSkipVerify: true,
		MaxVersion:         tls.VersionTLS12,
		CipherSuites:       []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	}
	for range count {
		_, err := testsmtp.DialTLS(addr, "", client)
		if err == nil || !strings.Contains(err.Error(), "tls: handshake failure") {
			return fmt.Errorf("an RSA-only client got %v, want the alert handshake_failure", err)
		}
	}
	return nil
}
