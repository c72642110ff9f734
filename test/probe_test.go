package test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// A probeSummary is the part of a probe's result that is compared: the strict client of
// https://go.dev/issue/70232, resumption, and the worst finding.
type probeSummary struct {
	software string
	strict   string // outcome of early-ticket
	worst    string // severity of a finding
	resumes  string // the finding about resumption
	advice   string // a part of the advice on early-ticket or resumption
}

// probedServers are real servers, with results confirmed by hand. The first five are
// written in Go, and those of them that use tickets send them early.
var probedServers = []struct {
	name  string
	start func(t *testing.T, cert *testcert.Pair) (addr string)
	want  probeSummary
}{
	{"mox v0.0.12", mox("v0.0.12"), probeSummary{"mox", "failed", "critical", "resumption", "TLSSessionTicketsDisabled"}},
	{"mox v0.0.17", mox("v0.0.17"), probeSummary{"mox", "completed", "notice", "no-resumption", "golang/go#70232"}},
	{"maddy v0.7.1", maddy("v0.7.1"), probeSummary{"maddy", "failed", "critical", "resumption", "v0.8"}},
	// It goes on in plaintext after a failed handshake, as go-smtp does.
	{"maddy v0.8.1", maddy("v0.8.1"), probeSummary{"maddy", "completed", "warning", "no-resumption", "golang/go#70232"}},
	{"chasquid", func(t *testing.T, cert *testcert.Pair) string { return testpeer.StartChasquid(t, cert) },
		probeSummary{"chasquid", "failed", "critical", "resumption", "v1.15.1"}},
	{"Postfix", func(t *testing.T, cert *testcert.Pair) string {
		return testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: cert}).Addr
	}, probeSummary{"Postfix", "completed", "notice", "resumption", ""}},
	{"Exim", func(t *testing.T, cert *testcert.Pair) string { return testpeer.StartExim(t, cert) },
		probeSummary{"Exim", "completed", "notice", "no-resumption", "tls_resumption_hosts"}},
	// GnuTLS sends tickets early, as crypto/tls does.
	{"Exim with tickets", func(t *testing.T, cert *testcert.Pair) string {
		return testpeer.StartExim(t, cert, "tls_resumption_hosts = *")
	}, probeSummary{"Exim", "failed", "critical", "resumption", "tls_resumption_hosts"}},
	{"OpenSMTPD", func(t *testing.T, cert *testcert.Pair) string {
		return testpeer.StartOpenSMTPD(t, "7.4.0p1", cert)
	}, probeSummary{"OpenSMTPD", "completed", "notice", "not-resumed", "no setting"}},
	{"nginx", func(t *testing.T, cert *testcert.Pair) string {
		backend := testpeer.StartSMTPSink(t)
		return testpeer.StartNginx(t, testpeer.NginxOptions{Backend: backend.Addr, Cert: cert})
	}, probeSummary{"nginx", "completed", "notice", "resumption", ""}},
	{"Postern", func(t *testing.T, cert *testcert.Pair) string {
		return start(t, "--cert", cert.CertFile, "--key", cert.KeyFile).addr
	}, probeSummary{"Postern", "completed", "notice", "resumption", ""}},
	{"Postern, stock tickets", func(t *testing.T, cert *testcert.Pair) string {
		return start(t, "--cert", cert.CertFile, "--key", cert.KeyFile, "--mode", "stock").addr
	}, probeSummary{"Postern", "failed", "critical", "resumption", `"own-write", the default`}},
}

func mox(version string) func(*testing.T, *testcert.Pair) string {
	return func(t *testing.T, cert *testcert.Pair) string { return testpeer.StartMox(t, version, cert) }
}

func maddy(version string) func(*testing.T, *testcert.Pair) string {
	return func(t *testing.T, cert *testcert.Pair) string { return testpeer.StartMaddy(t, version, cert) }
}

// The certificate is an RSA one that the probe trusts, so that all findings are about the
// server's behaviour.
func TestProbeOfRealServers(t *testing.T) {
	for _, tt := range probedServers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cert := testcert.New(t, testcert.Options{RSA: true})
			found := probeServer(t, tt.start(t, cert), cert)
			if got := found.summary(tt.want.advice); got != tt.want {
				t.Errorf("got %+v\nwant %+v\n%+v", got, tt.want, found.Findings)
			}
			for _, s := range found.Senders {
				if strings.HasPrefix(s.ID, "healthy-") && s.Outcome != "completed" {
					t.Errorf("%s: %s", s.ID, s.Outcome)
				}
			}
		})
	}
}

// probeResult is the JSON of an address: see docs/json.md.
type probeResult struct {
	Software string
	Findings []struct {
		ID, Severity string
		Remedies     []struct{ Software, Action string }
	}
	Senders []struct{ ID, Outcome string }
}

func probeServer(t *testing.T, addr string, cert *testcert.Pair, flags ...string) probeResult {
	t.Helper()
	args := append([]string{"probe", "--json", "--ca", cert.CertFile}, flags...)
	output, err := exec.Command(program, append(args, addr)...).Output()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%v\n%s", err, output)
	}
	var report struct {
		Hosts []struct{ Addresses []probeResult }
	}
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatalf("%v in %s", err, output)
	}
	return report.Hosts[0].Addresses[0]
}

// advised are the findings with the advice of a probeSummary.
var advised = []string{"early-ticket", "no-resumption", "not-resumed"}

// summary returns the summary, with advice if it was given.
func (f *probeResult) summary(advice string) probeSummary {
	v := probeSummary{software: f.Software}
	ranks := []string{"ok", "notice", "unclear", "warning", "critical"}
	worst := 0
	for _, found := range f.Findings {
		worst = max(worst, slices.Index(ranks, found.Severity))
		if found.ID == "resumption" || found.ID == "no-resumption" || found.ID == "not-resumed" {
			v.resumes = found.ID
		}
		for _, r := range found.Remedies {
			if strings.Contains(r.Action, advice) && slices.Contains(advised, found.ID) {
				v.advice = advice
			}
		}
	}
	v.worst = ranks[worst]
	for _, s := range f.Senders {
		if s.ID == "early-ticket" {
			v.strict = s.Outcome
		}
	}
	return v
}

// If all handshakes fail, as with Debian 12's OpenSMTPD, there is one finding, with the
// remedy, and not one for each sender.
func TestProbeReportsServerThatFailsAllSenders(t *testing.T) {
	cert := testcert.New(t, testcert.Options{RSA: true})
	found := probeServer(t, testpeer.StartOpenSMTPD(t, "6.8.0p2", cert), cert)
	for i, f := range found.Findings {
		if (i == 0) != (f.ID == "healthy" && f.Severity == "critical") || i > 0 && f.Severity != "ok" {
			t.Errorf("%d: %s: %s", i, f.ID, f.Severity)
		}
	}
	if r := found.Findings[0].Remedies; len(r) != 1 || r[0].Software != "OpenSMTPD" || !strings.Contains(r[0].Action, "OpenSMTPD/OpenSMTPD#1171") {
		t.Errorf("%+v", r)
	}
	for _, s := range found.Senders {
		if s.Outcome == "completed" {
			t.Errorf("%s completed", s.ID)
		}
	}
}

// With --check a monitoring system gets one line and an exit status.
func TestProbeForMonitoring(t *testing.T) {
	cert := testcert.New(t, testcert.Options{RSA: true})
	p := start(t, "--cert", cert.CertFile, "--key", cert.KeyFile)
	stock := start(t, "--cert", cert.CertFile, "--key", cert.KeyFile, "--mode", "stock")
	for _, tt := range []struct {
		args []string
		code int
		line string
	}{
		{[]string{"--ca", cert.CertFile, p.addr}, 0, "OK " + p.addr + ": no problems | critical=0 warnings=0 "},
		{[]string{p.addr}, 1, "WARNING " + p.addr + ": No trusted authority issued the certificate"},
		{[]string{"--ca", cert.CertFile, stock.addr}, 2, "CRITICAL " + stock.addr + ": Senders like early-ticket fail over TLS"},
		{[]string{"127.0.0.1:1"}, 3, "UNKNOWN 127.0.0.1:1: Cannot connect to the server"},
	} {
		cmd := exec.Command(program, append([]string{"probe", "--check"}, tt.args...)...)
		output, _ := cmd.Output() // its exit status is checked
		if code := cmd.ProcessState.ExitCode(); code != tt.code || !strings.HasPrefix(string(output), tt.line) || strings.Count(string(output), "\n") != 1 {
			t.Errorf("%v: status %d, %q, want %d, %q", tt.args, code, output, tt.code, tt.line)
		}
	}
}

// IMAP and POP3 servers are probed like SMTP servers, except for checks that are about
// SMTP.
func TestProbeOfIMAPAndPOP3(t *testing.T) {
	cert := testcert.New(t, testcert.Options{RSA: true})
	d := testpeer.StartDovecot(t, testpeer.DovecotOptions{Cert: cert})
	for _, tt := range []struct {
		addr, severity string
		flags          string
	}{
		{d.IMAP, "ok", "--starttls imap"},
		{d.IMAPS, "ok", "--starttls imap --implicit"},
		{d.POP3, "ok", "--starttls pop3"},
		{d.POP3S, "ok", "--starttls pop3 --implicit"},
	} {
		found := probeServer(t, tt.addr, cert, strings.Fields(tt.flags)...)
		for _, id := range []string{"healthy", "tls13", "certificate"} {
			if got := found.severity(id); got != "ok" {
				t.Errorf("%s: %s is %q: %+v", tt.flags, id, got, found.Findings)
			}
		}
		clear := map[bool]string{true: "", false: "ok"}[strings.Contains(tt.flags, "implicit")]
		for _, id := range []string{"injection", "plaintext-after-failure"} {
			if got := found.severity(id); got != clear {
				t.Errorf("%s: %s is %q, want %q", tt.flags, id, got, clear)
			}
		}
	}
}

// Postfix 3.7 is vulnerable to SMTP smuggling unless configured otherwise.
func TestProbeFindsSMTPSmuggling(t *testing.T) {
	cert := testcert.New(t, testcert.Options{RSA: true})
	for _, tt := range []struct {
		name, addr, severity string
	}{
		{"Postfix, open", testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: cert, Config: []string{"smtpd_forbid_bare_newline = no"}}).Addr, "critical"},
		{"Postfix, strict", testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: cert, Config: []string{"smtpd_forbid_bare_newline = yes", "smtpd_forbid_bare_newline_exclusions ="}}).Addr, "ok"},
		{"Postern", start(t, "--cert", cert.CertFile, "--key", cert.KeyFile).addr, "ok"},
	} {
		found := probeServer(t, tt.addr, cert, "--as", "healthy-go", "--deliver", "a@example.org", "user@localhost", "--intrusive")
		if got := found.severity("message-smuggling"); got != tt.severity {
			t.Errorf("%s: %q, want %q: %+v", tt.name, got, tt.severity, found.Findings)
		}
	}
}

// severity returns the severity of a finding, "" if there is none.
func (f *probeResult) severity(id string) string {
	for _, found := range f.Findings {
		if found.ID == id {
			return found.Severity
		}
	}
	return ""
}
