package maildir

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"postern/internal/smtp"
	"postern/internal/testdisk"
)

func TestFailedStepLeavesNothing(t *testing.T) {
	replies := map[error]string{
		syscall.ENOSPC: "452 4.3.1 insufficient storage, try again later (id 7Q2F)",
		syscall.EDQUOT: "452 4.3.1 insufficient storage, try again later (id 7Q2F)",
		syscall.EIO:    "451 4.3.0 cannot store the message, try again later (id 7Q2F)",
		fs.ErrExist:    "451 4.3.0 cannot store the message, try again later (id 7Q2F)",
	}
	for _, step := range []string{"create", "first write", "later write", "commit"} {
		for cause, want := range replies {
			t.Run(step+"/"+cause.Error(), func(t *testing.T) {
				f := newFolder(t)
				f.failAt(step, &fs.PathError{Op: "call", Path: "path", Err: cause})
				text := strings.Repeat("x", 3*bufferSize)
				if reply := f.send(strings.NewReader(text)); reply.String() != want {
					t.Errorf("reply %q, want %q", reply, want)
				}
				f.expectFiles(t, "new", 0)
				f.expectFiles(t, "tmp", 0)
				f.expectLogged(t, 1, "session=7Q2F nexthop=maildir:"+f.dir+" err=")
			})
		}
	}
}

// failAt makes one step of each delivery fail.
func (f *folder) failAt(step string, err error) {
	create := f.maildir.create
	f.maildir.create = func(tmp string) (file, error) {
		if step == "create" {
			return nil, err
		}
		real, failed := create(tmp)
		return &faulty{file: real, step: step, err: err}, failed
	}
}

// faulty is a file with one step that fails.
type faulty struct {
	file
	step   string
	err    error
	writes int
}

func (f *faulty) Write(p []byte) (int, error) {
	f.writes++
	if f.step == "first write" || f.step == "later write" && f.writes == 2 {
		return 0, f.err
	}
	return f.file.Write(p)
}

func (f *faulty) Commit(name string) error {
	if f.step == "commit" {
		f.Discard() // as durable does
		return f.err
	}
	return f.file.Commit(name)
}

func TestRemovedFolderDefersMail(t *testing.T) {
	for _, sub := range []string{"tmp", "new"} {
		f := newFolder(t)
		if err := os.Remove(filepath.Join(f.dir, sub)); err != nil {
			t.Fatal(err)
		}
		expectTransient(t, f.send(strings.NewReader("\r\n")), 451)
		f.expectLogged(t, 1, "no such file or directory")
		if sub == "new" {
			f.expectFiles(t, "tmp", 0)
		}
	}
}

// Sync fails on a folder that is closed.
func TestFailedSyncOfFolderDefersMail(t *testing.T) {
	f := newFolder(t)
	if err := f.maildir.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		expectTransient(t, f.send(strings.NewReader("\r\n")), 451)
	}
	f.expectFiles(t, "new", 0)
	f.expectFiles(t, "tmp", 0)
	f.expectLogged(t, 2, "accepts no more files")
}

func TestFullDiskDefersMail(t *testing.T) {
	for _, limit := range []string{"size=1m", "size=1m,nr_inodes=20"} {
		t.Run(limit, func(t *testing.T) {
			f := folderIn(t, testdisk.Mount(t, limit))
			text := strings.Repeat("x", 3*bufferSize)
			var names []string
			reply := f.send(strings.NewReader(text))
			for reply.Positive() {
				names = append(names, f.expectStored(t, reply, "7Q2F"))
				reply = f.send(strings.NewReader(text))
			}
			expectTransient(t, reply, 452)
			f.expectFiles(t, "new", len(names))
			f.expectFiles(t, "tmp", 0)
			if len(names) < 10 {
				t.Fatalf("only %d messages had room", len(names))
			}
			for _, name := range names {
				if !strings.HasSuffix(f.read(t, "new", name), text) {
					t.Errorf("%s is not whole", name)
				}
			}
			if err := os.Remove(filepath.Join(f.dir, "new", names[0])); err != nil {
				t.Fatal(err)
			}
			f.expectStored(t, f.send(strings.NewReader(text)), "7Q2F")
		})
	}
}

func TestReadOnlyDiskDefersMail(t *testing.T) {
	dir := testdisk.Mount(t, "size=1m")
	f := folderIn(t, dir)
	f.expectStored(t, f.send(strings.NewReader("\r\n")), "7Q2F")
	testdisk.Remount(t, dir, syscall.MS_RDONLY, "")
	expectTransient(t, f.send(strings.NewReader("\r\n")), 451)
	f.expectLogged(t, 1, "read-only file system")
	f.expectFiles(t, "new", 1)
	if again, err := New(dir, nil); err != nil {
		t.Errorf("New on a read-only folder: %v, want it to open and reply 451", err)
	} else {
		again.Close()
	}
	if _, err := New(filepath.Join(dir, "other"), nil); !errors.Is(err, syscall.EROFS) {
		t.Errorf("New on a read-only disk: %v, want EROFS", err)
	}
}

func expectTransient(t *testing.T, reply smtp.Reply, code int) {
	t.Helper()
	if reply.Code != code {
		t.Errorf("reply %q, want %d", reply, code)
	}
}

// victim is the folder to which a process of TestKillLosesNothing delivers until it is
// killed.
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
	// Each of the four deliveries may have completed and been killed before its reply.
	if unsaid := len(names) - acknowledged; unsaid < 0 || unsaid > 4*rounds {
		t.Errorf("%d messages stored, %d acknowledged", len(names), acknowledged)
	}
	left := len(f.files(t, "tmp"))
	f.maildir.clean(time.Now().Add(leftoverAge + time.Minute))
	f.expectFiles(t, "tmp", 0)
	f.expectFiles(t, "new", len(names))
	t.Logf("%d messages acknowledged, %d stored, %d leftovers", acknowledged, len(names), left)
}

// killWhileDelivering starts a process that delivers, kills it after some messages and
// returns the names of those that it acknowledged.
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
