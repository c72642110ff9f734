package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Hosts are upgraded one by one to a version that writes another format. Meanwhile both versions
// receive mail and learn, a sender resumes at all hosts, and in the end nothing is missing.
func TestHostsAreUpgradedOneByOne(t *testing.T) {
	t.Parallel()
	newer := buildChanged(t,
		change{"../internal/fleet/seal.go", "const sealedVersion = 1", "const sealedVersion = 2"},
		change{"../internal/fleet/seal.go", "value[0] != sealedVersion", "value[0] > sealedVersion"},
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

// Clocks of hosts that differ by minutes do no harm: neither to what is learned, nor to sessions, nor
// to what each host shows of the others.
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
	f.requireShared(0)
	f.requireAllMail()
	f.requireAllEvents()
}
