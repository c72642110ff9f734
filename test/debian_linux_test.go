package test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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
	cmd := inControlGroup(t, name, nspawn, "--quiet", "--directory", d.root, "--machine", name, "--register=no", "--keep-unit",
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
		if d.leader, err = initOf(cmd.Process.Pid); err != nil {
			return err
		}
		state, err := d.try("systemctl", "is-system-running")
		switch state = strings.TrimSpace(state); state {
		case "running":
			return nil
		case "degraded":
			failed, _ := d.try("systemctl", "status", "--failed", "--full", "--no-pager", "--lines=50")
			t.Fatalf("units of the machine failed when it booted:\n%s", failed)
		}
		return fmt.Errorf("the machine is not running: %s, %v", state, err)
	})
	return d
}

// inControlGroup returns a command that runs in a control group of its own, below that of the
// tests. In one that machines share, each takes the groups of the others' units for its own, and
// removes them as long as they are empty, which is when a unit is started.
func inControlGroup(t *testing.T, name string, command ...string) *exec.Cmd {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var groups []string
	for line := range strings.Lines(string(own)) {
		var roots []string
		_, controllers, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(controllers, ":")
		switch controllers { // systemd uses no others, and expects them there
		case "": // version 2
			roots = []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}
		case "name=systemd":
			roots = []string{"/sys/fs/cgroup/systemd"}
		}
		for _, root := range roots {
			if _, err := os.Stat(filepath.Join(root, path, "cgroup.procs")); err == nil {
				groups = append(groups, filepath.Join(root, path, name))
			}
		}
	}
	for _, group := range groups {
		if err := os.MkdirAll(group, 0o755); err != nil { // one may be left by tests that were killed
			t.Fatal(err)
		}
		t.Cleanup(func() { removeControlGroup(t, group) })
	}
	const enter = `for group in $0; do echo $$ >"$group/cgroup.procs"; done; exec "$@"`
	return exec.Command("sh", append([]string{"-euc", enter, strings.Join(groups, " ")}, command...)...)
}

// removeControlGroup removes a control group without processes and those below it, whose files
// cannot be removed.
func removeControlGroup(t *testing.T, group string) {
	entries, err := os.ReadDir(group)
	if err != nil {
		t.Error(err)
	}
	for _, entry := range entries {
		if entry.IsDir() {
			removeControlGroup(t, filepath.Join(group, entry.Name()))
		}
	}
	if err := os.Remove(group); err != nil {
		t.Error(err)
	}
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

// initOf returns the child of a process that is the first of its PID namespace. Before it, nspawn
// has another child, which sees the systemd of this machine.
func initOf(pid int) (int, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return 0, err
	}
	parent := fmt.Sprintf("\nPPid:\t%d\n", pid)
	for _, path := range paths {
		status, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(status), parent) && isInit.Match(status) {
			return strconv.Atoi(filepath.Base(filepath.Dir(path)))
		}
	}
	return 0, errors.New("no process has started in the machine")
}

// isInit matches the status of a process that has number 1 in the innermost of its namespaces.
var isInit = regexp.MustCompile(`(?m)^NSpid:.*\t1$`)

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
