package test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"postern/internal/testdisk"
	"postern/internal/testsmtp"
)

// A debian is a machine in namespaces of its own, with its own systemd, network and processes,
// as somebody's server right after the installation.
type debian struct {
	t      *testing.T
	root   string // its file system
	leader int    // process ID of its systemd
	log    *processLog
}

// machines is how many have been booted, since each needs another name.
var machines atomic.Int32

// bootDebian boots a machine from a root folder. It is switched off with the test.
func bootDebian(t *testing.T, root string) *debian {
	t.Helper()
	nspawn, err := exec.LookPath("systemd-nspawn")
	if err != nil {
		unavailable(t, "systemd-nspawn is not installed: run scripts/install-peers")
	}
	d := &debian{t: t, root: root, log: newProcessLog()}
	name := fmt.Sprintf("postern-%d-%d", os.Getpid(), machines.Add(1))
	cmd := exec.Command(nspawn, "--quiet", "--directory", d.root, "--machine", name, "--register=no", "--keep-unit",
		"--private-network", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--settings=no",
		"--kill-signal=SIGRTMIN+3", "--console=pipe", "/lib/systemd/systemd")
	cmd.Stdout, cmd.Stderr = d.log, d.log
	cmd.SysProcAttr = endsWithTests()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(d.log.over)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM) // which nspawn passes on as its --kill-signal
		<-d.log.over
		if t.Failed() {
			d.log.show(t)
		}
	})
	eventually(t, func() (err error) {
		// Before systemd, nspawn has another child.
		if d.leader, err = childOf(cmd.Process.Pid); err != nil {
			return err
		}
		state, err := d.try("systemctl", "is-system-running")
		if state = strings.TrimSpace(state); state != "running" {
			return fmt.Errorf("the machine is not running: %s, %v", state, err)
		}
		return nil
	})
	return d
}

// debianRoot returns a writable copy of a root folder that scripts/install-peers made, which
// takes no time: its changes are in memory.
func debianRoot(t *testing.T, name string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(cache, "postern-peers", name)
	if _, err := os.Stat(base); err != nil {
		unavailable(t, "there is no Debian root folder: run scripts/install-peers")
	}
	dir := testdisk.Mount(t, "mode=755")
	for _, name := range []string{"changed", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(dir, "root")
	if err := unix.Mount("overlay", root, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s/changed,workdir=%s/work", base, dir, dir)); err != nil {
		t.Fatalf("mounting %s and its changes: %v", base, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			t.Errorf("unmounting %s: %v", root, err)
		}
	})
	return root
}

// childOf returns the process whose parent is pid.
func childOf(pid int) (int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		// The name in parentheses may have spaces.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			return strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	return 0, errors.New("no process has started in the machine")
}

// try runs a command in the machine, and returns what it prints.
func (d *debian) try(command ...string) (output string, err error) {
	cmd := exec.Command("nsenter", append([]string{"--target", strconv.Itoa(d.leader), "--mount", "--uts", "--ipc", "--net", "--pid", "--"}, command...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}
	cmd.Dir = "/"
	text, err := cmd.CombinedOutput()
	return string(text), err
}

// run runs a command that has to succeed.
func (d *debian) run(command ...string) (output string) {
	d.t.Helper()
	output, err := d.try(command...)
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, output)
	}
	return output
}

// path is where a file of the machine is.
func (d *debian) path(name string) string { return filepath.Join(d.root, name) }

// write writes a file of the machine.
func (d *debian) write(name, text string) {
	d.t.Helper()
	if err := os.MkdirAll(filepath.Dir(d.path(name)), 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(d.path(name), []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// has reports whether the machine has a file.
func (d *debian) has(name string) bool {
	_, err := os.Lstat(d.path(name))
	return err == nil
}

// inNetwork calls f with the machine's network.
func (d *debian) inNetwork(f func() error) error { return inNetworkOf(d.leader, f) }

// delivers delivers a message over STARTTLS to an address of the machine.
func (d *debian) delivers(addr, id string) {
	d.t.Helper()
	deliverInNetworkOf(d.t, d.leader, addr, id)
}

// inNetworkOf calls f with the network of a process.
func inNetworkOf(pid int, f func() error) error {
	return inNetworkAt(fmt.Sprintf("/proc/%d/ns/net", pid), f)
}

// deliverInNetworkOf delivers a message over STARTTLS to an address in the network of a process.
func deliverInNetworkOf(t *testing.T, pid int, addr, id string) {
	t.Helper()
	err := inNetworkOf(pid, func() error {
		c, err := testsmtp.DialTLS(addr, "", testsmtp.OpportunisticTLS())
		if err != nil {
			return err
		}
		defer c.Close()
		reply, err := c.Deliver(newMessage(id, 0))
		if err == nil && reply.Code != 250 {
			err = fmt.Errorf("reply %s", reply)
		}
		return errors.Join(err, c.Expect("QUIT\r\n", 221))
	})
	if err != nil {
		t.Fatalf("the message %s to %s: %v", id, addr, err)
	}
}
