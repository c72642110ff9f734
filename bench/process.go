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
)

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
