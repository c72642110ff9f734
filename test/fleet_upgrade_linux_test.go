package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Hosts are upgraded one by one to a version that writes another format. Meanwhile both versions
// receive mail and learn, a sender resumes at all hosts, and in the end nothing is missing.
func TestHostsAreUpgradedOneByOne(t *testing.T) {
	t.Parallel()
	newer := buildChanged(t,
		change{"../internal/fleet/seal.go", "const sealedVersion = 1", "const sealedVersion = 2"},
		change{"../internal/fleet/seal.go", "sealed[0] != sealedVersion", "sealed[0] > sealedVersion"},
	)
	f := startFleetNetwork(t)
	session := f.startHosts(f.directly)
	for i, p := range f.hosts {
		f.meetStrictSenders()
		p.terminate()
		f.programs[i] = []string{newer}
		f.hosts[i] = f.startHost(i, p.data)
		f.hosts[i].await(0, `msg="fleet connected"`)
		f.requireResumed(session)
	}
	f.meetStrictSenders()
	f.requireKnown()
	f.requireShared(0)
	f.requireAllMail()
	f.requireAllEvents()
}

// Clocks of hosts that differ by minutes do no harm: neither to what is learned, nor to sessions,
// nor to pins.
func TestHostsWhoseClocksDifferShare(t *testing.T) {
	if os.Getenv("POSTERN_LONG") != "1" {
		t.Skip("builds the standard library; only with POSTERN_LONG=1")
	}
	t.Parallel()
	root, err := goTool("env", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	clock := filepath.Join(strings.TrimSpace(root), "src/time/time.go")
	skewed := buildChanged(t,
		change{clock, "sec, nsec, mono := runtimeNow()\n\tif mono == 0 {", "sec, nsec, mono := runtimeNow()\n\tsec += ahead\n\tif mono == 0 {"},
		change{clock, "// Now returns the current local time.", "var ahead = func() int64 {\n\ts, _ := syscall.Getenv(\"CLOCK_AHEAD\")\n\tn, _ := atoi(s)\n\treturn int64(n)\n}()\n\n"},
		change{clock, "import (", "import (\n\t\"syscall\""},
	)
	f := startFleetNetwork(t)
	for i, seconds := range []int{-420, 0, 300, 660} {
		f.programs[i] = []string{"env", fmt.Sprintf("CLOCK_AHEAD=%d", seconds), skewed}
	}
	f.startHosts(f.directly)
	f.operate(3, "senders", "pin", "10.77.200.0/24", "no-ticket", "--why", "a trial")
	f.requireDecided(0, "pinned, from stock to no-ticket")
	f.operate(0, "senders", "unpin", "10.77.200.0/24") // by a clock 18 minutes behind
	for i := range f.hosts {
		f.requireDecided(i, "unpinned, from no-ticket to stock")
	}
	f.requireShared(0)
	f.requireAllMail()
	f.requireAllEvents()
}

// operate runs a command at a host, with its clock.
func (f *fleetNetwork) operate(host int, args ...string) {
	f.t.Helper()
	command := slices.Concat(f.programs[host], args, []string{"--data", f.hosts[host].data})
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		f.t.Fatalf("%q: %v: %s", command, err, out)
	}
}

// requireDecided waits until a host has changed the pin.
func (f *fleetNetwork) requireDecided(host int, what string) {
	f.t.Helper()
	eventually(f.t, func() error {
		return checkOutput(f.t, what, "senders", "show", "10.77.200.0/24", "--data", f.hosts[host].data)
	})
}
