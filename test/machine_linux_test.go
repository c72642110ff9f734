package test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"postern/internal/testcert"
	"postern/internal/testzone"
)

// A machine is a copy of this one, for what changes a whole machine: with the folders that
// programs write to, with processes and with networks of its own. Programs run there as root,
// with the paths that they have anywhere. It ends with the test.
type machine struct {
	t   *testing.T
	pid int // of its first process
}

// machineScript makes the machine in a folder. What programs write to is on a disk of its own:
// copies of the folders that they need there, and empty ones.
const machineScript = `mount -t tmpfs tmpfs "$0"
for folder in /etc /var/lib/postfix /var/lib/dovecot /var/lib/chasquid /var/spool/postfix; do
	[ -e $folder ] || continue
	mkdir -p "$0$folder"
	cp -a $folder/. "$0$folder"
done
for folder in /etc /var/lib /var/spool /run /var/log /var/mail /var/cache /home /usr/local/bin; do
	mkdir -p "$0$folder"
	mount --bind "$0$folder" $folder
done
chmod 1777 /var/mail
cp "$1" /usr/local/bin/postern
ip link set lo up
for address in $2; do ip addr add $address dev lo; done
echo ready
exec sleep infinity`

// startMachine makes a machine with these addresses, and with postern in its PATH.
func startMachine(t *testing.T, addresses ...string) *machine {
	t.Helper()
	requirePrograms(t, "unshare", "nsenter", "ip")
	if os.Geteuid() != 0 {
		unavailable(t, "a machine of its own needs root")
	}
	dir, err := os.MkdirTemp("", "machine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	log := newProcessLog()
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", machineScript, dir, program, strings.Join(addresses, " "))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = endsWithTests()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // await says how it ended
		close(log.over)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-log.over
	})
	if _, err := log.await(0, "ready"); err != nil {
		log.show(t)
		t.Fatal(err)
	}
	child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(child)))
	if err != nil {
		t.Fatal(err)
	}
	return &machine{t, pid}
}

// requirePrograms checks that programs are installed.
func requirePrograms(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			unavailable(t, err.Error()+": run scripts/install-peers")
		}
	}
}

// command runs a command line of a shell in the machine.
func (m *machine) command(line string) *exec.Cmd {
	return exec.Command("nsenter", "--target", strconv.Itoa(m.pid), "--mount", "--net", "--pid", "--wd=/", "sh", "-euc", line)
}

// output runs a command line to its end, and returns what it prints. Daemons that it starts go on.
func (m *machine) output(line string) (string, error) {
	m.t.Helper()
	// Not a pipe: the daemons would keep it open.
	file, err := os.CreateTemp(m.t.TempDir(), "output")
	if err != nil {
		m.t.Fatal(err)
	}
	defer file.Close()
	cmd := m.command(line)
	cmd.Stdout, cmd.Stderr = file, file
	failed := cmd.Run()
	printed, err := os.ReadFile(file.Name())
	if err != nil {
		m.t.Fatal(err)
	}
	return string(printed), failed
}

// run runs a command line that succeeds, and returns what it prints.
func (m *machine) run(line string) string {
	m.t.Helper()
	printed, err := m.output(line)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", line, err, printed)
	}
	return printed
}

// A machineProcess is a program of a machine that runs until it is ended, or with the machine.
type machineProcess struct {
	m     *machine
	pid   string
	input io.Writer
	log   *processLog
}

// start starts a command line, in the folder /run/guide.
func (m *machine) start(line string) *machineProcess {
	m.t.Helper()
	p := &machineProcess{m: m, log: newProcessLog()}
	cmd := m.command("cd /run/guide; echo $$; exec " + line)
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = endsWithTests()
	var err error
	if p.input, err = cmd.StdinPipe(); err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // end is what ends it
		close(p.log.over)
	}()
	p.pid = p.await("")
	return p
}

// await waits for a line of its output with these words.
func (p *machineProcess) await(words ...string) string {
	p.m.t.Helper()
	line, err := p.log.await(0, words...)
	if err != nil {
		p.log.show(p.m.t)
		p.m.t.Fatal(err)
	}
	return line
}

// end ends it. Ctrl-C's signal is ignored by what a shell started in the background.
func (p *machineProcess) end() {
	p.m.t.Helper()
	p.m.run("kill " + p.pid)
	select {
	case <-p.log.over:
	case <-time.After(patience):
		p.m.t.Errorf("a program has not ended after %v", patience)
	}
}

// eventually waits until a command line succeeds, and returns what it prints.
func (m *machine) eventually(line string) (printed string) {
	m.t.Helper()
	eventually(m.t, func() error {
		var err error
		if printed, err = m.output(line); err != nil {
			return fmt.Errorf("%s: %w\n%s", line, err, printed)
		}
		return nil
	})
	return printed
}

// write writes a file of the machine.
func (m *machine) write(path, content string) {
	m.t.Helper()
	cmd := m.command("mkdir -p " + filepath.Dir(path) + " && cat >" + path)
	cmd.Stdin = strings.NewReader(content)
	if output, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("writing %s: %v\n%s", path, err, output)
	}
}

// nameserver makes the machine use a DNS server of the test, with these records.
func (m *machine) nameserver(records ...string) {
	m.t.Helper()
	err := inNetworkOf(m.pid, func() error {
		testzone.StartAt(m.t, "127.0.0.1:53", testzone.Zone{Name: ".", Records: records})
		return nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.run("rm -f /etc/resolv.conf && echo nameserver 127.0.0.1 >/etc/resolv.conf")
}

// serve runs postern in the machine as its unit does.
func (m *machine) serve() *postern {
	m.t.Helper()
	return m.serveFrom("/etc/postern/postern.toml")
}

// serveFrom is serve with another configuration file.
func (m *machine) serveFrom(config string) *postern {
	m.t.Helper()
	p := launchCommand(m.t, m.command("echo $$ >/run/postern.pid; exec setpriv --reuid postern --regid postern --init-groups "+
		"--inh-caps +net_bind_service --ambient-caps +net_bind_service postern serve --config "+config))
	p.ended = true // by stop, or with the machine
	p.await(0, "Ctrl-C stops it.")
	return p
}

// stop stops a postern of the machine, and checks that it ends as it should.
func (m *machine) stop(p *postern) {
	m.t.Helper()
	m.run("kill $(cat /run/postern.pid)")
	p.awaitExit()
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		m.t.Errorf("postern ended with %v after SIGTERM, want exit status 0", p.cmd.ProcessState)
	}
}

// authority writes a certificate for names, and makes the machine trust its authority.
func (m *machine) authority(cert, key string, names ...string) {
	m.t.Helper()
	ca := testcert.NewCA(m.t)
	pair := testcert.New(m.t, testcert.Options{Names: names, CA: ca, NotAfter: time.Now().AddDate(0, 2, 0)})
	for path, file := range map[string]string{cert: pair.CertFile, key: pair.KeyFile, "/etc/ssl/certs/ca-certificates.crt": ca.File} {
		content, err := os.ReadFile(file)
		if err != nil {
			m.t.Fatal(err)
		}
		m.write(path, string(content))
	}
}
