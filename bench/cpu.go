package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cpuTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on Linux.
const cpuTick = 10 * time.Millisecond

// A meter reads the CPU time of a server: of the process that listens on its address, of those
// that descend from it, and of those that have ended among them.
type meter struct {
	addr string
	root int // the first of its processes
}

// metered returns the CPU time that the server on addr uses while do runs.
func metered(addr string, do func() error) (time.Duration, error) {
	m, err := newMeter(addr)
	if err != nil {
		return 0, err
	}
	before, err := m.read()
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	after, err := m.read()
	return after - before, err
}

// newMeter finds the process that listens on addr, an IPv4 address.
func newMeter(addr string) (*meter, error) {
	socket, err := listeningSocket(addr)
	if err != nil {
		return nil, err
	}
	all, err := processes()
	if err != nil {
		return nil, err
	}
	for pid, p := range all {
		if holds(pid, socket) && !holds(p.parent, socket) {
			return &meter{addr, pid}, nil
		}
	}
	return nil, fmt.Errorf("no process listens on %s", addr)
}

// read returns the CPU time used so far, user and system.
func (m *meter) read() (time.Duration, error) {
	all, err := processes()
	if err != nil {
		return 0, err
	}
	if _, ok := all[m.root]; !ok {
		return 0, fmt.Errorf("the server on %s has ended", m.addr)
	}
	var used time.Duration
	for pid, p := range all {
		if descends(all, pid, m.root) {
			used += p.cpu
		}
	}
	return used, nil
}

// descends reports whether a process is the root or descends from it.
func descends(all map[int]processStat, pid, root int) bool {
	for pid > 1 {
		if pid == root {
			return true
		}
		pid = all[pid].parent
	}
	return false
}

// A processStat is what /proc/PID/stat says of a process (proc(5)).
type processStat struct {
	parent int
	cpu    time.Duration // of the process and of its children that have ended
}

// processes returns all processes by id.
func processes() (map[int]processStat, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	all := make(map[int]processStat)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return nil, err
		}
		if all[pid], err = parseStat(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return all, nil
}

// parseStat parses /proc/PID/stat. The fields after the name, which is in parentheses, are
// numbered from 3 in proc(5).
func parseStat(text string) (p processStat, err error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const first, ppid, utime, cstime = 3, 4, 14, 17
	if len(fields) <= cstime-first {
		return p, fmt.Errorf("%q is too short", text)
	}
	if p.parent, err = strconv.Atoi(fields[ppid-first]); err != nil {
		return p, err
	}
	for _, field := range fields[utime-first : cstime-first+1] {
		ticks, err := strconv.Atoi(field)
		if err != nil {
			return p, err
		}
		p.cpu += time.Duration(ticks) * cpuTick
	}
	return p, nil
}

// listeningSocket returns the inode of the socket that listens on addr.
func listeningSocket(addr string) (inode string, err error) {
	tcp, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return "", err
	}
	ip := tcp.IP.To4()
	local := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], tcp.Port)
	text, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	const listen = "0A"
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 9 && f[1] == local && f[3] == listen {
			return f[9], nil
		}
	}
	return "", fmt.Errorf("nothing listens on %s", addr)
}

// holds reports whether a process has the socket open.
func holds(pid int, inode string) bool {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil && target == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
