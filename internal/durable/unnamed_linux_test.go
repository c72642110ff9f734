package durable

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// On ext4, XFS, Btrfs and tmpfs an unfinished file has no name that a crash could leave.
func TestUnfinishedFileHasNoName(t *testing.T) {
	s := newStage(t)
	fd, err := unix.Open(s.in, unix.O_TMPFILE|unix.O_WRONLY, 0o600)
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this file system has no files without a name")
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	mustWrite(t, s.create(t, "one"), "text")
	s.expect(t, s.in, nil)
	s.expect(t, s.tmp, nil)
}

// Whatever fails, no file stays open: a server that runs for months would run out of them.
func TestFailuresLeaveNoFileOpen(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	s := newStage(t)
	for what, fail := range map[string]func() error{
		"WriteFile over a folder":   func() error { return WriteFile(taken, []byte("x"), 0o600) },
		"WriteFile without folder":  func() error { return WriteFile(filepath.Join(dir, "none", "x"), []byte("x"), 0o600) },
		"OpenFolder without folder": func() error { _, err := OpenFolder(filepath.Join(dir, "none"), dir); return err },
		"failed syncs": func() error {
			setSync(t, func(*os.File) error { return unix.EIO })
			defer setSync(t, (*os.File).Sync)
			_, opened := OpenFolder(dir, dir)
			return errors.Join(WriteFile(filepath.Join(dir, "x"), []byte("x"), 0o600), MkdirAll(filepath.Join(dir, "y"), 0o700), opened)
		},
		"a name that is taken": func() error {
			f, err := s.folder.Create("one", 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Discard()
			return f.Commit("a/b")
		},
	} {
		before := openFiles(t)
		for range 50 {
			if fail() == nil {
				t.Fatalf("%s did not fail", what)
			}
		}
		if after := openFiles(t); after >= before+50 {
			t.Errorf("%s: %d files are open, %d before", what, after, before)
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
