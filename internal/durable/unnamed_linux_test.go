package durable

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"

	"postern/internal/testdisk"
)

// hasUnnamed reports whether the file system of dir has files without a name.
func hasUnnamed(dir string) bool {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY, 0o600)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

// The way is chosen once, when a folder is opened: one that does not work would defer all
// mail.
func TestWhatDoesNotWorkIsNotChosen(t *testing.T) {
	s := newStage(t)
	notAFolder, err := os.Create(filepath.Join(s.tmp, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer notAFolder.Close()
	if canNameUnnamed(notAFolder, s.tmp) {
		t.Error("no file can be created, and that is not noticed")
	}
	if canNameUnnamed(s.folder.file, filepath.Join(s.tmp, "missing")) {
		t.Error("a file cannot be named, and that is not noticed")
	}
}

// A disk that became read-only is the reason that an operator reads.
func TestCreateOnAReadOnlyDiskSaysSo(t *testing.T) {
	disk := testdisk.Mount(t, "size=64k")
	folder, err := OpenFolder(disk, disk)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if !folder.unnamed {
		t.Fatal("a tmpfs has files without a name")
	}
	testdisk.Remount(t, disk, unix.MS_RDONLY, "")
	if _, err := folder.Create("staged", 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("create: %v, want EROFS", err)
	}
}

func TestNoFileStaysOpen(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // the collector closes what is forgotten
	dir := t.TempDir()
	before := openFiles(t)
	for range 10 {
		if err := MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(filepath.Join(dir, "key.pem"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenFolder(filepath.Join(dir, "a"), dir)
		if err != nil {
			t.Fatal(err)
		}
		file, err := f.Create("staged", 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Commit(rand.Text()); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := OpenFolder(filepath.Join(dir, "key.pem"), dir); err == nil {
		t.Error("opened a file as a folder")
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, before there were %d", after, before)
	}
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
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
