package test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// A serverResult is a server's result: when it sends tickets, and outcome and resumption of
// the strict client of https://go.dev/issue/70232 and of a healthy one.
type serverResult struct{ tickets, strict, healthy string }

// simulatedServers has the expected results by the beginning of a server's name and version.
// Those from mox on are real mail servers.
var simulatedServers = map[string]serverResult{
	"go-smtp, unmodified":         {"before", "failed no-session", "completed resumed"},
	"go-smtp, gate first-write":   {"with-data", "completed resumed", "completed resumed"},
	"go-smtp, gate own-write":     {"after", "completed resumed", "completed resumed"},
	"go-smtp, gate no-ticket":     {"none", "completed no-session", "completed no-session"},
	"go-smtp, gate stock":         {"before", "failed no-session", "completed resumed"},
	"go-smtp, tickets off":        {"none", "completed no-session", "completed no-session"},
	"mox v0.0.12":                 {"before", "failed no-session", "completed resumed"},
	"mox v0.0.17":                 {"none", "completed no-session", "completed no-session"},
	"maddy v0.7.1":                {"before", "failed no-session", "completed resumed"},
	"maddy v0.8.1":                {"none", "completed no-session", "completed no-session"},
	"chasquid ":                   {"before", "failed no-session", "completed resumed"},
	"Exim 4":                      {"none", "completed no-session", "completed no-session"},
	"Exim, tls_resumption_hosts ": {"before", "failed no-session", "completed resumed"},
	"Postfix ":                    {"after", "completed resumed", "completed resumed"},
	"OpenSMTPD 6.8":               {"unknown", "failed no-session", "failed no-session"},
	"OpenSMTPD 7":                 {"after", "completed full", "completed full"},
	"nginx mail proxy ":           {"after", "completed resumed", "completed resumed"},
}

// peerFolders returns flags for the folders in which scripts/build-peers and
// scripts/install-peers put programs that are not installed.
func peerFolders(t *testing.T) (args []string) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := filepath.Glob("../.cache/*/usr/sbin")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range append(unpacked, filepath.Join(cache, "postern-peers", runtime.Version())) {
		if _, err := os.Stat(folder); err == nil {
			args = append(args, "--peers", folder)
		}
	}
	if args == nil {
		unavailable(t, "no peers: run scripts/install-peers and scripts/build-peers")
	}
	return args
}

// labReport is the JSON of postern-lab: see docs/json.md.
type labReport struct {
	Finding string
	Servers []struct{ Column, Name, Release, Tickets string }
	Missing []struct{ Name, Why string }
	Cells   []struct {
		Client, Column, Outcome, Resumption string
		Handshake                           json.RawMessage
	}
}

func TestClientSimulationAgainstRealServers(t *testing.T) {
	t.Parallel()
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(labProgram, append([]string{"--json"}, peerFolders(t)...)...).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var report labReport
	if err := json.Unmarshal(output, &report); err != nil {
		t.Fatal(err)
	}
	for begin, want := range simulatedServers {
		got, ok := report.serverResult(t, begin)
		switch {
		case !ok && os.Getenv("CI") == "true":
			t.Errorf("%s did not run: %v", begin, report.Missing)
		case ok && got != want:
			t.Errorf("%s: %v, want %v", begin, got, want)
		}
	}
	if !strings.HasPrefix(report.Finding, "Of failures over session tickets alone: A ticket before the client's Finished (") || !strings.Contains(report.Finding, " makes handshakes of early-ticket, ") {
		t.Errorf("finding: %s", report.Finding)
	}
}

// serverResult returns the result of the server whose name and release begin with begin.
func (r *labReport) serverResult(t *testing.T, begin string) (s serverResult, ok bool) {
	t.Helper()
	for _, server := range r.Servers {
		if !strings.HasPrefix(server.Name+" "+server.Release, begin) {
			continue
		}
		s.tickets, ok = server.Tickets, true
		for _, c := range r.Cells {
			if c.Column != server.Column {
				continue
			}
			if len(c.Handshake) == 0 && c.Outcome != "refused" {
				t.Errorf("%s at %s: no transcript", c.Client, server.Name)
			}
			switch c.Client {
			case "early-ticket":
				s.strict = c.Outcome + " " + c.Resumption
			case "healthy-go":
				s.healthy = c.Outcome + " " + c.Resumption
			case "openssl", "gnutls-cli":
				if met := c.Outcome + " " + c.Resumption; met != s.healthy { // which comes first
					t.Errorf("%s at %s: %s, want %s as a healthy client", c.Client, server.Name, met, s.healthy)
				}
			}
		}
	}
	return s, ok
}

// After Ctrl-C no file is left, and no process: TestMain checks that after all tests.
func TestInterruptedClientSimulationCleansUp(t *testing.T) {
	t.Parallel()
	scratch := t.TempDir()
	cmd := exec.Command(labProgram, peerFolders(t)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+scratch)
	cmd.SysProcAttr = endsWithTests()
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if running, _ := filepath.Glob(filepath.Join(scratch, "peer*", "*.out")); running == nil {
			return errors.New("no server has started")
		}
		return nil
	})
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	exit := new(exec.ExitError)
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want status 1", err)
	}
	if want := "postern-lab: error: interrupted: no matrix\n"; said.String() != want {
		t.Errorf("said %q, want %q", said.String(), want)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
