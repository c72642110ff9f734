package maildir

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/testdisk"
)

// victim is the folder to which a process of TestKillLosesNothing delivers until it is
// killed. With withoutProc it has no /proc, and stages files in tmp/.
const (
	victim      = "POSTERN_TEST_MAILDIR"
	withoutProc = "POSTERN_TEST_WITHOUT_PROC"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		if err := deliverForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// deliverForever prints the name of each message that was acknowledged.
func deliverForever(dir string) error {
	if os.Getenv(withoutProc) != "" {
		// In the mount namespace of this process.
		if err := syscall.Mount("tmpfs", "/proc", "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("hiding /proc: %w", err)
		}
	}
	maildir, err := New(dir, nil)
	if err != nil {
		return err
	}
	f := &folder{dir: dir, maildir: maildir}
	failed := make(chan error)
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				seed := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i)
				reply := f.send(strings.NewReader(message(seed)))
				match := stored.FindStringSubmatch(reply.String())
				if match == nil {
					failed <- fmt.Errorf("reply %s", reply)
					return
				}
				fmt.Println(match[1]) // one write
			}
		}()
	}
	return <-failed
}

func TestKillLosesNothing(t *testing.T) {
	t.Run("unnamed files", func(t *testing.T) {
		if left := killManyTimes(t, newFolder(t), nil); left > 0 {
			t.Errorf("%d files left in tmp/, want none", left)
		}
	})
	t.Run("staged files", func(t *testing.T) {
		testdisk.Root(t)
		f := newFolder(t)
		left := killManyTimes(t, f, []string{withoutProc + "=1"})
		f.maildir.clean(time.Now().Add(leftoverAge + time.Minute))
		f.expectFiles(t, "tmp", 0)
		if left == 0 {
			t.Error("nothing left in tmp/, so no file was staged there")
		}
	})
}

// killManyTimes kills processes that deliver, and returns how many files that leaves in
// tmp/.
func killManyTimes(t *testing.T, f *folder, env []string) (left int) {
	acknowledged := 0
	const rounds = 20
	for range rounds {
		for _, name := range f.killWhileDelivering(t, env) {
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
	// Each of the four deliveries may have completed and been killed before its reply.
	if unsaid := len(names) - acknowledged; unsaid < 0 || unsaid > 4*rounds {
		t.Errorf("%d messages stored, %d acknowledged", len(names), acknowledged)
	}
	left = len(f.files(t, "tmp"))
	t.Logf("%d messages acknowledged, %d stored, %d leftovers", acknowledged, len(names), left)
	return left
}

// killWhileDelivering starts a process that delivers, kills it after some messages and
// returns the names of those that it acknowledged.
func (f *folder) killWhileDelivering(t *testing.T, env []string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(append(os.Environ(), victim+"="+f.dir), env...)
	child.Stderr = os.Stderr
	if len(env) > 0 {
		child.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	}
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
