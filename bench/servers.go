package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// posternConfig raises the limits for one address, a quarter of its network's, since all load
// comes from 127.0.0.1, and the size limit for a message of 50 MiB with trace fields.
// Everything else is the default, including the log at INFO. An earlier revision is started
// with the same configuration, so it has only keys that both know.
const posternConfig = `
hostname = "mx.test"
domains = ["localhost"]
listen = [%q]
data = %q
next-hop = %q
certificate = [{cert = %q, key = %q}]
` + loadLimits

// loadLimits are limits that a load from one address does not reach.
const loadLimits = `
[limits]
message-size = "64MiB"
session-time = "24h"

[limits.total]
connections = 20000
handshakes = "1000000/s"
bytes = "100GiB/s"

[limits.network]
connections = 80000
handshakes = "4000000/s"
bytes = "400GiB/s"
`

// A postern is a running Postern.
type postern struct {
	*process
	maildir string
}

// startPostern builds and starts Postern with a next hop, "maildir" or a URL, and more flags.
func startPostern(s *testpeer.Scope, cert *testcert.Pair, nextHop string, flags ...string) postern {
	return startProgram(s, build(s, "./cmd/postern"), cert, nextHop, flags...)
}

// startProgram starts a Postern that is already built.
func startProgram(s *testpeer.Scope, program string, cert *testcert.Pair, nextHop string, flags ...string) postern {
	return startConfigured(s, program, cert, nextHop, "", flags...)
}

// startConfigured is startProgram with more tables in the configuration.
func startConfigured(s *testpeer.Scope, program string, cert *testcert.Pair, nextHop, tables string, flags ...string) postern {
	dir, addr := s.TempDir(), testpeer.FreeAddr(s)
	config := filepath.Join(dir, "postern.toml")
	text := fmt.Sprintf(posternConfig, addr, dir, nextHop, cert.CertFile, cert.KeyFile) + tables
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		s.Fatalf("%v", err)
	}
	process := startProcess(s, addr, program, append([]string{"serve", "--config", config}, flags...)...)
	return postern{process, filepath.Join(dir, "maildir")}
}

// A process is a server that the benchmark has started.
type process struct {
	addr   string
	cmd    *exec.Cmd
	output string // file of its output
}

// stop kills the process and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// startProcess starts a server and waits until it listens on addr.
func startProcess(s *testpeer.Scope, addr, path string, args ...string) *process {
	output, err := os.Create(filepath.Join(s.TempDir(), "output"))
	if err != nil {
		s.Fatalf("%v", err)
	}
	defer output.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.Fatalf("%v", err)
	}
	p := &process{addr, cmd, output.Name()}
	s.Cleanup(func() {
		p.stop() // everything acknowledged has been checked
		if s.Failed() {
			s.Logf("%s", lastOutput(output.Name()))
		}
	})
	if err := await(func() error { return listens(addr) }); err != nil {
		s.Fatalf("%s: %v\n%s", path, err, lastOutput(output.Name()))
	}
	return p
}

func listens(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

func lastOutput(path string) string {
	const most = 4 << 10
	text, _ := os.ReadFile(path)
	return string(text[max(0, len(text)-most):])
}

// proc reads a file of the process under /proc (proc(5)).
func (p *process) proc(s *testpeer.Scope, name string) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name))
	if err != nil {
		s.Fatalf("%v", err)
	}
	return string(text)
}

// resident returns the resident memory of the process in bytes.
func (p *process) resident(s *testpeer.Scope) int64 { return p.status(s, "VmRSS") }

// peak returns the peak resident memory since resetPeak, in bytes.
func (p *process) peak(s *testpeer.Scope) int64 { return p.status(s, "VmHWM") }

func (p *process) resetPeak(s *testpeer.Scope) {
	path := fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid)
	if err := os.WriteFile(path, []byte("5"), 0); err != nil {
		s.Fatalf("%v", err)
	}
}

func (p *process) status(s *testpeer.Scope, field string) int64 {
	for line := range strings.Lines(p.proc(s, "status")) {
		name, value, _ := strings.Cut(line, ":")
		if name != field {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err == nil {
			return kib << 10
		}
	}
	s.Fatalf("/proc/%d/status has no %s", p.cmd.Process.Pid, field)
	return 0
}

// build builds a command of this module and returns its path.
func build(s *testpeer.Scope, pkg string) string {
	path := filepath.Join(s.TempDir(), filepath.Base(pkg))
	if output, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		s.Fatalf("go build %s: %v\n%s", pkg, err, output)
	}
	return path
}

// await polls until ready returns nil, and returns its last error after a minute.
func await(ready func() error) error {
	const limit, pause = 60 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		err := ready()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
