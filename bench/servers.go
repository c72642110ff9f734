package main

import (
	"context"
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

// posternConfig raises what would bound a load that comes from one network,
// 127.0.0.0/24, and lets a message of 50 MiB with its trace fields in. All
// else is as by default, the log at INFO included.
const posternConfig = `
hostname = "mx.test"
domains = ["localhost"]
listen = [%q]
data = %q
next-hop = %q
certificate = [{cert = %q, key = %q}]

[limits]
message-size = "64MiB"
session-time = "24h"

[limits.total]
connections = 20000
handshakes = "1000000/s"
bytes = "100GiB/s"

[limits.network]
connections = 20000
handshakes = "1000000/s"
bytes = "100GiB/s"
`

// postern is a Postern that serves.
type postern struct {
	*process
	maildir string
}

// startPostern starts a Postern that hands its mail to a next hop: "maildir" or a URL.
func startPostern(s *stage, cert *testcert.Pair, nextHop string) postern {
	return startProgram(s, build(s, "./cmd/postern"), cert, nextHop)
}

// startProgram is startPostern for a Postern that is built already.
func startProgram(s *stage, program string, cert *testcert.Pair, nextHop string) postern {
	dir, addr := s.TempDir(), freeAddr(s)
	config := filepath.Join(dir, "postern.toml")
	text := fmt.Sprintf(posternConfig, addr, dir, nextHop, cert.CertFile, cert.KeyFile)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		s.Fatalf("%v", err)
	}
	process := startProcess(s, addr, program, "serve", "--config", config)
	return postern{process, filepath.Join(dir, "maildir")}
}

// process is a server that the benchmark started, with its output in a file.
type process struct {
	addr string
	cmd  *exec.Cmd
}

// startProcess starts a server that is to listen on addr, and waits for it.
func startProcess(s *stage, addr, path string, args ...string) *process {
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
	s.Cleanup(func() {
		_ = cmd.Process.Kill() // all that it acknowledged was checked
		_ = cmd.Wait()
		if s.Failed() {
			s.Logf("%s", lastOutput(output.Name()))
		}
	})
	if err := await(func() error { return listens(addr) }); err != nil {
		s.Fatalf("%s: %v\n%s", path, err, lastOutput(output.Name()))
	}
	return &process{addr, cmd}
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

// freeAddr is a loopback address that nobody listens on.
func freeAddr(s *stage) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatalf("%v", err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// proc reads one of the process's files under /proc (proc(5)).
func (p *process) proc(s *stage, name string) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name))
	if err != nil {
		s.Fatalf("%v", err)
	}
	return string(text)
}

// cpuTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on Linux.
const cpuTick = 10 * time.Millisecond

// cpu is the time that the process has used, its system calls included.
func (p *process) cpu(s *stage) time.Duration {
	stat := p.proc(s, "stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	user, userErr := strconv.Atoi(fields[11])
	system, systemErr := strconv.Atoi(fields[12])
	if userErr != nil || systemErr != nil {
		s.Fatalf("/proc/%d/stat: %q", p.cmd.Process.Pid, stat)
	}
	return time.Duration(user+system) * cpuTick
}

// resident is the memory of the process in bytes.
func (p *process) resident(s *stage) int64 { return p.status(s, "VmRSS") }

// peak is the most memory that the process had since forgetPeak, in bytes.
func (p *process) peak(s *stage) int64 { return p.status(s, "VmHWM") }

func (p *process) forgetPeak(s *stage) {
	path := fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid)
	if err := os.WriteFile(path, []byte("5"), 0); err != nil {
		s.Fatalf("%v", err)
	}
}

func (p *process) status(s *stage, field string) int64 {
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
func build(s *stage, pkg string) string {
	path := filepath.Join(s.TempDir(), filepath.Base(pkg))
	if output, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		s.Fatalf("go build %s: %v\n%s", pkg, err, output)
	}
	return path
}

// stage is where the peers of one section play. What is started on it ends with the
// section.
type stage = testpeer.Scope

// play runs a section on a stage of its own and ends all that it started.
// An error, returned or thrown by a peer, is the section's.
func play(section func(*stage) error) error {
	return testpeer.Run(context.Background(), os.Stderr, nil, section)
}

// await polls until ready returns nil, and gives its last error when the time is up.
func await(ready func() error) error {
	const limit, pause = 60 * time.Second, 20 * time.Millisecond
	for end := time.Now().Add(limit); ; time.Sleep(pause) {
		err := ready()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
