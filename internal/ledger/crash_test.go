package ledger

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"postern/internal/fallback"
	"postern/sessionticket"
)

// victim is the environment variable with the ledger that a process of
// TestKillLeavesItReadable writes until it is killed.
const victim = "POSTERN_TEST_LEDGER"

func TestMain(m *testing.M) {
	if path := os.Getenv(victim); path != "" {
		writeForever(path)
	}
	flag.Parse()
	flag.Set("test.parallel", "16") // they wait for timers and disks, and hardly compute
	os.Exit(m.Run())
}

// writeForever adds handshakes, and prints the number of stored ones when it grows.
func writeForever(path string) {
	l := Open(path, Options{})
	r, err := OpenReader(path)
	noted, has := 0, int64(0)
	for ; err == nil; time.Sleep(5 * time.Millisecond) { // leaves the writer the processor
		for range 3*maxBatch - len(l.queue) { // there is always something to write
			l.AddHandshake(failure(fmt.Sprint(noted)))
			noted++
		}
		var newest []Handshake
		newest, err = r.Handshakes(context.Background(), Filter{Limit: 1})
		if len(newest) == 1 && newest[0].ID != has {
			has = newest[0].ID
			fmt.Println(has) // one write
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Each takes a second or more under the race detector.
var kills = flag.Int("kills", 3, "how often TestKillLeavesItReadable kills the writer")

func TestKillLeavesItReadable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger")
	pin := fallback.Pin{Network: netip.MustParsePrefix("192.0.2.0/24"), Mode: sessionticket.TLS12, Why: "an old gateway", Since: noon}
	for round := range *kills {
		said := killWhileWriting(t, path, func() {
			// The other process reads and writes too, while the first does.
			pin.Why = fmt.Sprint("round ", round)
			if err := SetPin(t.Context(), path, pin); err != nil {
				t.Errorf("pinning while another process writes: %v", err)
			}
		})
		r := reader(t, path)
		newest, err := r.Handshakes(t.Context(), Filter{Limit: 1})
		if err != nil || len(newest) != 1 || newest[0].ID < said {
			t.Fatalf("after round %d: %+v, %v; want all of %d", round, newest, err, said)
		}
		if pins, err := r.Pins(t.Context()); err != nil || len(pins) != 1 || pins[0] != pin {
			t.Errorf("after round %d: pins %v, %v", round, pins, err)
		}
		expectSound(t, path)
	}
	if got := asides(t, path); len(got) > 0 {
		t.Errorf("sound files were set aside: %v", got)
	}
}

// killWhileWriting starts a process that writes, calls meanwhile, kills the process and returns
// how many handshakes it had seen in the file.
func killWhileWriting(t *testing.T, path string, meanwhile func()) (said int64) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), victim+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	changes, enough := 0, 2+rand.IntN(3)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		n, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if n == said {
			continue
		}
		said = n
		if changes++; changes == 1 {
			meanwhile()
		}
		if changes == enough {
			child.Process.Kill()
		}
	}
	if err := child.Wait(); changes < enough {
		t.Fatalf("process ended by itself: %v", err)
	}
	return said
}
