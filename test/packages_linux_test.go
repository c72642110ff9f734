package test

import (
	"bytes"
	"database/sql"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"postern/internal/testsmtp"
)

// buildPackages runs scripts/build-packages, with variables such as VERSION=1, and returns the
// packages, in the order of their names.
func buildPackages(t *testing.T, dir, targets string, variables ...string) []string {
	t.Helper()
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("../scripts/build-packages", strings.Fields(targets)...)
	cmd.Env = append(append(os.Environ(), "OUTPUT="+dir, "VERSION=0.0.1"), variables...)
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("scripts/build-packages %s: %v\n%s", targets, err, output)
	}
	built, err := filepath.Glob(filepath.Join(dir, "postern*"))
	if err != nil || len(built) == 0 {
		t.Fatalf("scripts/build-packages %s built nothing", targets)
	}
	return built
}

// packages returns a package for Debian and one for RPM systems, which all tests share.
func packages(t *testing.T) (deb, rpm string) {
	t.Helper()
	packagesOnce.Do(func() {
		built := buildPackages(t, filepath.Join(filepath.Dir(program), "packages"), fmt.Sprintf("deb:%[1]s rpm:%[1]s", runtime.GOARCH))
		packagesBuilt = [2]string{built[1], built[0]} // postern_ comes after postern-
	})
	if packagesBuilt[0] == "" {
		t.Fatal("no packages were built")
	}
	return packagesBuilt[0], packagesBuilt[1]
}

var (
	packagesOnce  sync.Once
	packagesBuilt [2]string
)

// newerPackage returns a package of the same files with a later version, whose configuration
// has one more comment.
func newerPackage(t *testing.T, deb string) string {
	t.Helper()
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer.deb")
	for _, line := range []string{
		"dpkg-deb --raw-extract " + deb + " files",
		"sed --in-place 's/^Version: .*/Version: 0.0.2-1/' files/DEBIAN/control",
		"echo '# A new comment.' >> files/etc/postern/postern.toml",
		"dpkg-deb --root-owner-group -Znone --build files " + newer,
	} {
		if output, err := shell(dir, line); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, output)
		}
	}
	return newer
}

// A package for Debian, from the installation to purge, on a machine that systemd runs: two
// commands, and mail arrives. Mail, ledger and configuration survive an upgrade, during which no
// sender is refused.
func TestDebianPackage(t *testing.T) {
	t.Parallel()
	d := bootDebian(t, debianRoot(t, "debian-12"))
	deb, _ := packages(t)
	d.copy(deb, "/root/postern.deb")
	d.copy(newerPackage(t, deb), "/root/newer.deb")

	d.run("apt-get", "install", "--yes", "/root/postern.deb")
	d.run("systemctl", "is-active", "postern.service")
	d.run("systemctl", "is-enabled", "postern.service")
	d.delivers("127.0.0.1:2525", "first")
	d.run("postern", "status", "--ready")
	for path, want := range map[string]string{"/etc/postern/postern.toml": "640 root:postern", "/var/lib/postern": "700 postern:postern"} {
		if got := strings.TrimSpace(d.run("stat", "--format", "%a %U:%G", path)); got != want {
			t.Errorf("%s belongs to %s, want %s", path, got, want)
		}
	}
	if out := d.run("systemd-analyze", "verify", "--man=no", "postern.service", "postern.socket"); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	d.run("systemd-analyze", "security", "--threshold=15", "--no-pager", "postern.service")

	// Setup saves the configuration that the package installed; purge removes that, too.
	d.run("postern", "setup", "--hostname", "mx.example.org", "--domain", "example.org", "--write")
	if !d.has("/etc/postern/postern.toml.before-setup") {
		t.Error("setup has not saved the configuration")
	}

	// The administrator configures port 25, by the socket, as postern.socket says.
	config := "hostname = \"mx.example.org\"\ndomains = [\"localhost\"]\ndata = \"/var/lib/postern\"\n"
	d.write("/etc/postern/postern.toml", config)
	d.write("/etc/systemd/system/postern.service.d/override.conf", "[Service]\nAmbientCapabilities=\nCapabilityBoundingSet=\n")
	d.run("systemctl", "stop", "postern.service")
	d.types("upgrading.md", "systemctl daemon-reload")
	d.run("systemctl", "enable", "--now", "postern.socket")
	d.types("operating.md", "systemctl enable --now postern")
	d.types("mta-sts.md", "systemctl reload postern")
	d.delivers("127.0.0.1:25", "second")
	if out := d.run("sh", "-c", "grep ^CapPrm: /proc/$(systemctl show --value --property MainPID postern.service)/status"); strings.Trim(out, "CapPrm:\t\n0") != "" {
		t.Errorf("with a socket, the server has capabilities: %s", out)
	}

	// Senders connect while the package is upgraded.
	upgraded := make(chan struct{})
	senders := make(chan error, 1)
	go func() { senders <- d.connectUntil(upgraded, "127.0.0.1:25") }()
	before := d.mainPID()
	d.run("dpkg", "--force-confold", "--install", "/root/newer.deb") // as unattended upgrades do
	close(upgraded)
	if err := <-senders; err != nil {
		t.Errorf("during the upgrade: %v", err)
	}
	if d.mainPID() == before {
		t.Error("after the upgrade, the earlier version still runs")
	}
	d.delivers("127.0.0.1:25", "third")
	if text, err := os.ReadFile(d.path("/etc/postern/postern.toml")); err != nil || string(text) != config {
		t.Errorf("after the upgrade, the configuration is\n%s%v", text, err)
	}
	eventually(t, func() error {
		if out, err := d.try("postern", "senders", "--json"); err != nil || !strings.Contains(out, `"full":3,`) {
			return fmt.Errorf("after the upgrade, the ledger lacks sessions of before: %w\n%s", err, out)
		}
		return nil
	})

	// An upgrade to a version that does not accept the configuration does not end the server
	// that runs.
	d.write("/etc/postern/postern.toml", config+"unheard-of = true\n")
	before = d.mainPID()
	if out := d.run("dpkg", "--force-confold", "--install", "/root/newer.deb"); !strings.Contains(out, "not restarted") || !strings.Contains(out, "unheard-of") {
		t.Errorf("the upgrade with a wrong configuration does not say what happens:\n%s", out)
	}
	if d.mainPID() != before {
		t.Error("the upgrade with a wrong configuration has ended the server")
	}
	d.delivers("127.0.0.1:25", "fourth")
	d.types("mta-sts.md", "systemctl reload postern")
	eventually(t, func() error { // systemd does not wait for the reload, nor for what it says
		const warnings = "journalctl -u postern -g"
		out, err := d.try("sh", "-euc", documented(t, "operating.md", warnings))
		if err != nil || !strings.Contains(out, "unheard-of") || strings.Contains(out, "level=INFO") {
			return fmt.Errorf("%s: %w\n%s", warnings, err, out)
		}
		return nil
	})

	checkRemoval(t, d, 4)
}

// An upgrade over the ledger of a build that knew 13 schemas: the server migrates it as it starts,
// and what it had is shown beside what happens since. What is left of an installation by hand, and
// would run in place of the package, is named.
func TestUpgradeMigratesAnOlderLedger(t *testing.T) {
	t.Parallel()
	d := bootDebian(t, debianRoot(t, "debian-12"))
	deb, _ := packages(t)
	d.copy(deb, "/root/postern.deb")
	d.copy(newerPackage(t, deb), "/root/newer.deb")
	d.run("apt-get", "install", "--yes", "/root/postern.deb")
	d.run("systemctl", "stop", "postern.service")
	d.run("rm", "-f", "/var/lib/postern/ledger.db", "/var/lib/postern/ledger.db-wal", "/var/lib/postern/ledger.db-shm")
	dump, day := olderLedger(t)
	ledger, err := sql.Open("sqlite", d.path("/var/lib/postern/ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Exec(dump); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
	d.run("chown", "postern:postern", "/var/lib/postern/ledger.db")
	const left = "/usr/local/bin/postern"
	d.write(left, "")

	out := d.run("apt-get", "install", "--yes", "/root/newer.deb")
	if !strings.Contains(out, left+" is used in place of the package's") {
		t.Errorf("the upgrade does not name %s:\n%s", left, out)
	}
	d.run("rm", left)
	d.types("upgrading.md", "systemctl restart postern")
	if log := d.types("operating.md", "journalctl -u postern"); !strings.Contains(log, `msg="migrated ledger"`) {
		t.Errorf("the log does not have that the ledger was migrated:\n%s", log)
	}
	d.delivers("127.0.0.1:2525", "upgraded")
	for command, want := range map[string][]string{
		"postern handshakes --since " + day:                {"XEL34FHWHH", "XMWROAMHOK", "early-ticket, mode stock: closed silently by the client", "X6VHNLNE2C", "mode own-write\n"},
		"postern handshakes show XMWROAMHOK":               {"NewSessionTicket ← before the client's Finished"},
		"postern senders show 192.0.2.0/24 --since " + day: {"to mode no-ticket since " + day, "resumes wrongly"},
		"postern senders show sender.test --since " + day:  {day},
		"postern report list --since 2024-01-01":           {"unverified"},
	} {
		eventually(t, func() error { // the ledger is written a moment after a session
			out, err := d.try("sh", "-c", command)
			if err != nil || !containsAll(out, want) {
				return fmt.Errorf("%s: %w, want %q:\n%s", command, err, want, out)
			}
			return nil
		})
	}
}

// olderLedger returns testdata/ledger-0013.sql, moved by whole weeks to a day of the last one: a server
// deletes sessions that are older than 90 days.
func olderLedger(t *testing.T) (dump, day string) {
	t.Helper()
	text, err := os.ReadFile("testdata/ledger-0013.sql")
	if err != nil {
		t.Fatal(err)
	}
	const of = 20785 // its day since 1970
	today := int(time.Now().Unix() / (24 * 60 * 60))
	weeks := (today - 1 - of) / 7
	times := regexp.MustCompile(`"days" VALUES\(\d+|"weeks" VALUES\(\d+|\b17[89]\d{10}\b`) // the last in milliseconds
	dump = times.ReplaceAllStringFunc(string(text), func(match string) string {
		table, number := match[:strings.LastIndexByte(match, '(')+1], match[strings.LastIndexByte(match, '(')+1:]
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		switch table {
		case `"days" VALUES(`:
			n += weeks * 7
		case `"weeks" VALUES(`:
			n += weeks
		default:
			n += weeks * 7 * 24 * 60 * 60 * 1000
		}
		return table + strconv.Itoa(n)
	})
	return dump, time.Unix(0, 0).UTC().AddDate(0, 0, of+weeks*7).Format(time.DateOnly)
}

// checkRemoval removes the package and then purges it: the removal leaves the configuration and the
// data, and purge so many messages.
func checkRemoval(t *testing.T, d *debian, messages int) {
	t.Helper()
	d.run("dpkg", "--remove", "postern")
	if err := d.inNetwork(func() error { _, err := testsmtp.Connect("127.0.0.1:25", ""); return err }); err == nil {
		t.Error("something still listens after the removal")
	}
	for path, want := range map[string]bool{"/etc/postern/postern.toml": true, "/var/lib/postern/ledger.db": true, "/usr/bin/postern": false, "/usr/share/doc/postern": false} {
		if d.has(path) != want {
			t.Errorf("after the removal, %s is there: %v", path, !want)
		}
	}
	d.run("dpkg", "--purge", "postern")
	for path, want := range map[string]bool{"/etc/postern": false, "/var/lib/postern/ledger.db": false, "/var/lib/postern/tls": false, "/var/lib/postern/maildir": true} {
		if d.has(path) != want {
			t.Errorf("after purge, %s is there: %v", path, !want)
		}
	}
	if got := len(maildir(d.path("/var/lib/postern/maildir")).messages(t)); got != messages {
		t.Errorf("purge leaves %d of %d messages", got, messages)
	}
	d.run("rm", "-r", "/var/lib/postern/maildir")
}

// Whoever builds the packages again gets the same bytes, whatever is set on the machine and whatever
// its name is.
func TestPackagesAreReproducible(t *testing.T) {
	t.Parallel()
	deb, rpm := packages(t)
	again := buildPackages(t, t.TempDir(), fmt.Sprintf("deb:%[1]s rpm:%[1]s", runtime.GOARCH),
		"TMPDIR="+t.TempDir(), "TZ=Asia/Tokyo", "GOFLAGS=-buildvcs=false -ldflags=-X=main.unknown=1", "GOAMD64=v3", "GOARM64=v8.2")
	for i, path := range []string{rpm, deb} {
		first, err := os.ReadFile(path)
		second, err2 := os.ReadFile(again[i])
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s is another file when it is built again", filepath.Base(path))
		}
	}
	if host, err := exec.Command("rpm", "--query", "--package", "--queryformat", "%{BUILDHOST}", rpm).Output(); string(host) != "localhost" {
		t.Errorf("the package has the name of the machine that built it: %s, %v", host, err)
	}
}

// The programs of the package need nothing of the system. Debian's own checks find no error.
func TestDebianPackageIsStatic(t *testing.T) {
	t.Parallel()
	deb, _ := packages(t)
	if out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error", deb).CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	root := t.TempDir()
	if out, err := exec.Command("dpkg-deb", "--extract", deb, root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, command := range []string{"postern", "postern-lab"} {
		path := filepath.Join(root, "usr/bin", command)
		program, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		for _, part := range program.Progs {
			if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
				t.Errorf("%s is linked dynamically", command)
			}
		}
		text, err := os.ReadFile(path)
		if here, err2 := filepath.Abs(".."); err != nil || err2 != nil || bytes.Contains(text, []byte(here)) {
			t.Errorf("%s has the path of the folder where it was built", command)
		}
	}
}

// The package for RPM systems, on a root folder that has what its scripts need. Its service
// starts with the machine, where a preset says so; that of Debian does.
func TestRPMPackage(t *testing.T) {
	t.Parallel()
	root := debianRoot(t, "debian-12")
	rpm := func(args ...string) string {
		out, err := exec.Command("rpm", append([]string{"--root", root, "--dbpath", "/var/lib/rpm", "--force-debian", "--nodeps"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("rpm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	_, built := packages(t)
	rpm("--install", built)
	if out := rpm("--verify", "postern"); out != "" {
		t.Errorf("rpm finds changes after the installation: %s", out)
	}
	t.Run("booted", func(t *testing.T) {
		d := bootDebian(t, root)
		d.delivers("127.0.0.1:2525", "first")
		if got := strings.TrimSpace(d.run("stat", "--format", "%a %U:%G", "/etc/postern/postern.toml")); got != "640 root:postern" {
			t.Errorf("the configuration belongs to %s", got)
		}
	})
	rpm("--erase", "postern")
	d := debian{t: t, root: root}
	for path, want := range map[string]bool{
		"/etc/systemd/system/multi-user.target.wants/postern.service": false, "/usr/bin/postern": false,
		"/var/lib/postern/ledger.db": true,
	} {
		if d.has(path) != want {
			t.Errorf("after the removal, %s is there: %v", path, !want)
		}
	}
}

// copy copies a file into the machine.
func (d *debian) copy(from, to string) {
	d.t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		d.t.Fatal(err)
	}
	d.write(to, string(text))
}

// mainPID returns the process ID of the service.
func (d *debian) mainPID() string {
	d.t.Helper()
	return strings.TrimSpace(d.run("systemctl", "show", "--value", "--property", "MainPID", "postern.service"))
}

// connectUntil connects to an address again and again until done, and expects a greeting each
// time, or that the server is shutting down.
func (d *debian) connectUntil(done <-chan struct{}, addr string) error {
	return d.inNetwork(func() error {
		for {
			c, err := testsmtp.Connect(addr, "")
			if err != nil {
				return err
			}
			reply, err := c.Reply()
			c.Close()
			if err != nil || reply.Code != 220 && reply.Code != 421 {
				return fmt.Errorf("the greeting is %s, %w", reply, err)
			}
			select {
			case <-done:
				return nil
			default:
			}
		}
	})
}
