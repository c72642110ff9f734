package setup

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/certs"
	"postern/internal/listening"
	"postern/internal/testcert"
)

var update = flag.Bool("update", false, "rewrite the plans in testdata")

// postfixMachine is a machine with a Postfix that has postscreen, an option that a shell would
// split, a filter on port 10025 and a lower limit of processes.
func postfixMachine(t *testing.T) *Machine {
	listed, err := os.ReadFile("testdata/master.txt")
	if err != nil {
		t.Fatal(err)
	}
	p := &postfix{folder: "/etc/postfix", processes: 50, services: postfixServices(string(listed))}
	return &Machine{
		Hostname: "mx.example.org", Domains: []string{"example.org", "example.net"},
		Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")},
		own:       []netip.Addr{netip.MustParseAddr("192.0.2.25"), netip.MustParseAddr("2001:db8::25")},
		mx:        []mxRecords{{domain: "example.org", hosts: []string{"mx.example.org"}}, {domain: "example.net", hosts: []string{"old.example.net"}}},
		sockets: []listening.Socket{
			socket("0.0.0.0:25", "/usr/lib/postfix/sbin/master"), socket("[::]:25", "/usr/lib/postfix/sbin/master"), socket("127.0.0.1:10025", "/usr/bin/filter"),
		},
		servers: []*server{{name: "Postfix", version: "3.7.11", steps: p.handover}},
		systemd: true, unit: true, account: true,
	}
}

func socket(address, path string) listening.Socket {
	return listening.Socket{Address: netip.MustParseAddrPort(address), Process: listening.Process{ID: 612, Name: filepath.Base(path), Path: path}}
}

func mustPlan(t *testing.T, m *Machine) *Plan {
	t.Helper()
	p, err := m.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The plans for machines that the stories in test/ do not have.
func TestScriptsAreAsExpected(t *testing.T) {
	for name, m := range map[string]*Machine{
		"postfix": postfixMachine(t),
		"maildir": {Hostname: "mx.example.org", Domains: []string{"example.org"}, certificates: []certificate{certbotCertificate(t)}},
	} {
		golden := filepath.Join("testdata", name+".sh")
		got := mustPlan(t, m).Script(nil)
		if *update && os.Getenv("CI") == "" {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: the plan is\n%s\nwant %s", name, got, golden)
		}
		if output, err := exec.Command("sh", "-n", golden).CombinedOutput(); err != nil {
			t.Errorf("%s is no shell script: %v\n%s", golden, err, output)
		}
	}
}

func certbotCertificate(t *testing.T) certificate {
	pair := testcert.New(t, testcert.Options{Names: []string{"mx.example.org"}, NotAfter: time.Date(2090, 1, 2, 3, 4, 5, 0, time.UTC)})
	return certificate{certs.Pair{CertFile: "/etc/letsencrypt/live/mx.example.org/fullchain.pem", KeyFile: "/etc/letsencrypt/live/mx.example.org/privkey.pem"}, pair.TLS.Leaf, "certbot"}
}

func TestNoPlanSaysWhy(t *testing.T) {
	other := postfixMachine(t)
	other.sockets = []listening.Socket{socket("0.0.0.0:25", "/usr/bin/haraka")}
	done := postfixMachine(t)
	done.sockets = []listening.Socket{socket("192.0.2.25:25", "/usr/bin/postern"), socket("127.0.0.1:25", "/usr/lib/postfix/sbin/master")}
	hidden := postfixMachine(t)
	hidden.sockets = []listening.Socket{{Address: netip.MustParseAddrPort("0.0.0.0:25")}}
	nameless := postfixMachine(t)
	nameless.Hostname = ""
	withoutDomains := postfixMachine(t)
	withoutDomains.Domains = nil
	bare := postfixMachine(t)
	bare.Hostname, bare.Domains = "", nil
	unconnected := postfixMachine(t)
	unconnected.Addresses = nil
	for _, tt := range []struct {
		machine *Machine
		want    string
	}{
		{unconnected, "no address that other machines can use, and Postfix stays on port 25 of loopback"},
		{done, "Postern (process 612) listens on port 25 already"},
		{other, "haraka (process 612) listens on port 25"},
		{hidden, "a program of another user listens on port 25"},
		{nameless, "the name of this machine in the MX records is not known"},
		{withoutDomains, "the domains that this machine receives mail for are not known"},
		{bare, "neither the name of this machine in the MX records nor the domains that it receives mail for are known"},
	} {
		_, err := tt.machine.Plan()
		var reason *Error
		if !errors.As(err, &reason) || !strings.Contains(err.Error(), tt.want) || reason.Remedy() == "" {
			t.Errorf("got %v, want %q and a remedy", err, tt.want)
		} else if asRoot := strings.Contains(reason.Remedy(), "as root"); asRoot != (tt.machine == hidden) {
			t.Errorf("%v: %s", err, reason.Remedy())
		}
	}
}

// What setup has written is not written again, and the plan says so.
func TestAPlanLeavesOutWhatIsWritten(t *testing.T) {
	plan := mustPlan(t, postfixMachine(t)).Script([]string{ownConfig})
	if !strings.Contains(plan, "So far only these\n# files were written: /etc/postern/postern.toml. Read this") || strings.Contains(plan, ">/etc/postern/postern.toml") {
		t.Errorf("%s", plan)
	}
}

// Names on the command line become lines of a script for root.
func TestNamesThatCannotBeInDNSAreRefused(t *testing.T) {
	for _, o := range []Options{{Hostname: "mx"}, {Hostname: "mx.example.org\nreboot"}, {Domains: []string{"example.org", "$(reboot).example"}}} {
		if err := o.Check(); err == nil {
			t.Errorf("%q, %q: no error", o.Hostname, o.Domains)
		}
	}
	o := Options{Hostname: "MX.example.org.", Domains: []string{"bücher.example"}}
	if err := o.Check(); err != nil || o.Hostname != "mx.example.org" || o.Domains[0] != "xn--bcher-kva.example" {
		t.Errorf("%+v, %v", o, err)
	}
}

// Files that somebody has changed are not replaced, and none is written then.
func TestWriteKeepsChangedFiles(t *testing.T) {
	dir := t.TempDir()
	plan := &Plan{Files: []File{{filepath.Join(dir, "new/a"), 0o644, "a"}, {filepath.Join(dir, "b"), 0o755, "b"}}}
	if err := os.WriteFile(filepath.Join(dir, "b"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if written, err := plan.Write(); err == nil || len(written) > 0 {
		t.Errorf("wrote %v, %v", written, err)
	}
	if err := os.Remove(filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{2, 0} { // the second time there is nothing to do
		if written, err := plan.Write(); err != nil || len(written) != want {
			t.Errorf("wrote %v, %v, want %d files", written, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "b")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", info, err)
	}
}

// The configuration that packages install has comments only, and is replaced.
func TestWriteReplacesAConfigurationThatSetsNothing(t *testing.T) {
	shipped, err := os.ReadFile("../../deploy/postern.toml")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(path, shipped, 0o644); err != nil {
		t.Fatal(err)
	}
	plan := &Plan{Files: []File{{path, 0o644, "new"}}}
	if _, err := plan.Write(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("# nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := plan.Write(); err != nil { // a second time
		t.Fatal(err)
	}
	for name, want := range map[string]string{path: "new", path + ".before-setup": string(shipped)} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %.20q, %v", name, got, err)
		}
	}
}

func TestQuotedTextIsOneWordOfAShell(t *testing.T) {
	for _, text := range []string{"", "a b", "it's", `$HOME "x" \`, "a\nb", "*", "-M#", "[::1]:25/inet=x", "~", "#"} {
		output, err := exec.Command("sh", "-c", "printf '%s.' "+quote(text)).Output()
		if err != nil || string(output) != text+"." {
			t.Errorf("%q became %q, %v", text, output, err)
		}
	}
}

// A server that is installed and does not run is not the one that stores the mail.
func TestPlanIsForTheServerThatRuns(t *testing.T) {
	steps := func(*Machine) handover { return handover{} }
	m := &Machine{servers: []*server{{name: "mox"}, {name: "chasquid", steps: steps}, {name: "Dovecot", steps: steps}}}
	if behind, _ := m.server(); behind == nil || behind.name != "chasquid" {
		t.Errorf("of two that do not run, it is for %v", behind)
	}
	m.sockets = []listening.Socket{socket("0.0.0.0:143", "/usr/sbin/dovecot")}
	if behind, _ := m.server(); behind == nil || behind.name != "Dovecot" {
		t.Errorf("with Dovecot running, it is for %v", behind)
	}
}

// Servers that could not learn who the sender is are better left as they are.
func TestNoPlanForServersThatWouldNotSeeTheSender(t *testing.T) {
	m := postfixMachine(t)
	m.sockets = []listening.Socket{socket("[::]:25", "/home/mox/mox"), socket("127.0.0.1:25", "/usr/lib/postfix/sbin/master")}
	s := findMox(t.Context(), m)
	if s == nil {
		t.Fatal("mox listens, and was not found")
	}
	m.servers = append(m.servers, s)
	if _, err := m.Plan(); err == nil || !strings.HasPrefix(err.Error(), "setup: no plan for mox: mox supports neither XCLIENT nor PROXY headers") {
		t.Errorf("%v", err)
	}
}

// checkHandover runs the commands of a handover, which change nothing else. A plan is run twice when a
// step has failed. The way back restores what was there before, and leaves no copy that a later plan
// would take for it.
func checkHandover(t *testing.T, h handover, path, copied, want string) {
	t.Helper()
	before, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	for _, time := range []string{"once", "twice"} {
		if got := runHandover(t, h.leave, path, copied); got != want {
			t.Errorf("after the plan was run %s, the configuration is\n%s\nwant\n%s", time, got, want)
		}
	}
	if got := runHandover(t, h.back, path, copied); got != string(before) {
		t.Errorf("the way back leaves\n%s", got)
	}
	if exists(copied + ".before-postern") {
		t.Error("the way back leaves a copy")
	}
}

// runHandover runs commands on a copy of a server's configuration, and returns what that is then.
func runHandover(t *testing.T, commands []string, path, copied string) string {
	t.Helper()
	script := strings.ReplaceAll(strings.Join(commands, "\n"), path, copied)
	if output, err := exec.Command("sh", "-euc", "smtpd() { :; }\n"+script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, output)
	}
	changed, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	return string(changed)
}

func TestMaddyIsRead(t *testing.T) {
	const configuration = "$(hostname) = mx.example.org\n$(primary_domain) = example.org\n$(local_domains) = $(primary_domain) example.net\n\n" +
		"hostname $(hostname)\nsmtp tcp://0.0.0.0:25 { \n    limits {\n        all rate 20 1s\n    }\n}\nsubmission tls://0.0.0.0:465 tcp://0.0.0.0:587 {\n}\n"
	s := readMaddy(configuration)
	if s.hostname != "mx.example.org" || strings.Join(domainNames(s.domains), " ") != "example.org example.net" || s.steps == nil {
		t.Fatalf("%+v", s)
	}
	file := filepath.Join(t.TempDir(), "maddy.conf")
	if err := os.WriteFile(file, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	checkHandover(t, s.steps(new(Machine)), maddyFile, file,
		strings.Replace(configuration, "smtp tcp://0.0.0.0:25 { \n", "smtp tcp://127.0.0.1:10025 {\n    tls off\n    proxy_protocol {\n        trust 127.0.0.1\n    }\n", 1))
	if other := readMaddy("smtp tcp://127.0.0.1:10025 {\n}\n"); other.steps != nil || len(other.notes) == 0 {
		t.Errorf("without port 25: %+v", other)
	}
}
