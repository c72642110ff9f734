package maildir

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// victim is the folder that a process started by TestKillLosesNothing
// delivers to until it is killed.
const victim = "POSTERN_TEST_MAILDIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		deliverForever(dir)
	}
	os.Exit(m.Run())
}

// deliverForever prints the name of each message that was acknowledged.
func deliverForever(dir string) {
	maildir, err := New(dir, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	f := &folder{dir: dir, maildir: maildir}
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				seed := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				reply := f.send(strings.NewReader(message(seed)))
				match := stored.FindStringSubmatch(reply.String())
				if match == nil {
					fmt.Fprintln(os.Stderr, reply)
					os.Exit(1)
				}
				fmt.Println(match[1]) // one write
			}
		}()
	}
	select {}
}

func TestKillLosesNothing(t *testing.T) {
	f := newFolder(t)
	acknowledged := 0
	const rounds = 20
	for range rounds {
		for _, name := range f.killWhileDelivering(t) {
			acknowledged++
			if err := f.checkWhole(name); err != nil {
				t.Errorf("acknowledged: %v", err)
			}
		}
	}
	names := f.files(t, "new")
	for _, name := range names {
		if err := f.checkWhole(name); err != nil {
			t.Error(err)
		}
	}
	// Each of the four deliveries may have ended without a chance to say so.
	if unsaid := len(names) - acknowledged; unsaid < 0 || unsaid > 4*rounds {
		t.Errorf("%d messages stored, %d acknowledged", len(names), acknowledged)
	}
	left := len(f.files(t, "tmp"))
	f.maildir.clean(time.Now().Add(leftoverAge + time.Minute))
	f.expectFiles(t, "tmp", 0)
	f.expectFiles(t, "new", len(names))
	t.Logf("%d messages acknowledged, %d stored, %d leftovers", acknowledged, len(names), left)
}

// killWhileDelivering starts a process that delivers, kills it after some
// messages and returns the names that it had acknowledged.
func (f *folder) killWhileDelivering(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), victim+"="+f.dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	last := 1 + rand.IntN(50)
	var names []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if names = append(names, lines.Text()); len(names) == last {
			child.Process.Kill()
		}
	}
	if err := child.Wait(); len(names) < last {
		t.Fatalf("process ended by itself after %d messages: %v", len(names), err)
	}
	return names
}
