package maildir

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
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
	f.maildir.create = func(unique string) (file, error) {
		if step == "create" {
			return nil, err
		}
		real, failed := create(unique)
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

// What watches a Maildir sees what its messages see: how long the disk takes, and that it is at
// fault. A message that ends too early says nothing of the disk.
func TestFaultsOfTheDiskAreObserved(t *testing.T) {
	for _, test := range []struct {
		step     string // that fails
		text     io.Reader
		observed []bool // failed
		check    error
	}{
		{"", strings.NewReader("text\r\n"), []bool{false}, nil},
		{"", iotest.ErrReader(io.ErrUnexpectedEOF), nil, nil},
		{"create", strings.NewReader("text\r\n"), []bool{true}, syscall.EIO},
		{"commit", strings.NewReader("text\r\n"), []bool{true}, nil},
	} {
		f := newFolder(t)
		var observed []bool
		f.maildir.Observe = func(took time.Duration, failed bool) {
			observed = append(observed, failed)
			if took < 0 || failed && took != 0 {
				t.Errorf("%s: it took %v", test.step, took)
			}
		}
		f.failAt(test.step, syscall.EIO)
		f.send(test.text)
		if !slices.Equal(observed, test.observed) {
			t.Errorf("%s: observed %v, want %v", test.step, observed, test.observed)
		}
		before := len(f.files(t, "new"))
		if err := f.maildir.Check(); !errors.Is(err, test.check) {
			t.Errorf("%s: check: %v, want %v", test.step, err, test.check)
		}
		f.expectFiles(t, "new", before)
		f.expectFiles(t, "tmp", 0)
	}
}

func TestRemovedFolderDefersMail(t *testing.T) {
	f := newFolder(t)
	if err := os.Remove(filepath.Join(f.dir, "new")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		expectTransient(t, f.send(strings.NewReader("\r\n")), 451)
	}
	f.expectLogged(t, 2, "no such file or directory")
	f.expectFiles(t, "tmp", 0)
}

// An operator moves the Maildir away and restores another one, while senders deliver. A
// message under way is deferred, since the folder in its place is another one; the next is
// stored there.
func TestRestoredMaildirGetsTheNextMessage(t *testing.T) {
	for _, moved := range []string{"", "new"} {
		t.Run("/"+moved, func(t *testing.T) {
			f := newFolder(t)
			f.expectStored(t, f.send(strings.NewReader("\r\n")), "7Q2F")
			text, sender := io.Pipe()
			underWay := make(chan smtp.Reply)
			go func() { underWay <- f.send(text) }()
			io.WriteString(sender, "Subject: under way\r\n")
			now := filepath.Join(f.dir, moved)
			old := now + ".old"
			if err := os.Rename(now, old); err != nil {
				t.Fatal(err)
			}
			for _, sub := range []string{"cur", "new", "tmp"} {
				if err := os.MkdirAll(filepath.Join(f.dir, sub), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			sender.Close()
			expectTransient(t, <-underWay, 451)
			f.expectLogged(t, 1, "was moved or replaced")
			f.expectFiles(t, "new", 0)
			name := f.expectStored(t, f.send(strings.NewReader("Subject: next\r\n")), "7Q2F")
			if got := f.read(t, "new", name); !strings.HasSuffix(got, "Subject: next\n") {
				t.Errorf("stored %q", got)
			}
			f.expectFiles(t, "new", 1)
			f.expectLogged(t, 2, "delivering to the one in its place")
			if files := filesIn(t, filepath.Join(old, strings.TrimPrefix("new", moved))); len(files) != 1 {
				t.Errorf("the folder moved away holds %q, want what was stored before", files)
			}
		})
	}
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
	want := map[int]string{
		451: "451 4.3.0 cannot store the message, try again later (id 7Q2F)",
		452: "452 4.3.1 insufficient storage, try again later (id 7Q2F)",
	}[code]
	if reply.String() != want {
		t.Errorf("reply %q, want %q", reply, want)
	}
}
