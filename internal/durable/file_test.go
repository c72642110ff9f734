package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestCommitPutsWholeFileInPlace(t *testing.T) {
	s := newStage(t)
	f := s.create(t, "one")
	mustWrite(t, f, "first ", "second")
	s.expect(t, s.in, nil)
	if err := f.Commit("mail"); err != nil {
		t.Fatal(err)
	}
	s.expect(t, s.in, map[string]string{"mail": "first second"})
	s.expect(t, s.tmp, nil)
}

func TestCommitRefusesTakenName(t *testing.T) {
	s := newStage(t)
	for _, content := range []string{"old", "new"} {
		f := s.create(t, content)
		mustWrite(t, f, content)
		err := f.Commit("mail")
		if content == "new" && !errors.Is(err, fs.ErrExist) {
			t.Errorf("second commit: %v, want it refused", err)
		}
	}
	s.expect(t, s.in, map[string]string{"mail": "old"})
	s.expect(t, s.tmp, nil)
}

func TestCreateRefusesTakenName(t *testing.T) {
	s := newStage(t)
	f := s.create(t, "one")
	if _, err := s.folder.Create(filepath.Join(s.tmp, "one"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second create: %v, want it refused", err)
	}
	mustWrite(t, f, "mine")
	s.expect(t, s.tmp, map[string]string{"one": "mine"})
}

func TestDiscardLeavesNothing(t *testing.T) {
	s := newStage(t)
	f := s.create(t, "one")
	mustWrite(t, f, "text")
	f.Discard()
	s.expect(t, s.tmp, nil)
	s.expect(t, s.in, nil)
}

func TestWriteReportsFullDisk(t *testing.T) {
	s := newStage(t)
	f := s.create(t, "one")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.file.Close()
	f.file = full
	if _, err := f.Write([]byte("text")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write: %v, want ENOSPC", err)
	}
	f.Discard()
	s.expect(t, s.tmp, nil)
}

// A pipe is a file whose sync the system refuses.
func TestFailedSyncOfFileLeavesNothing(t *testing.T) {
	s := newStage(t)
	f := s.create(t, "one")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f.file.Close()
	f.file = w
	mustWrite(t, f, "text")
	if err := f.Commit("mail"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("commit: %v, want the error of fsync", err)
	}
	s.expect(t, s.tmp, nil)
	s.expect(t, s.in, nil)
}

func TestFailedSyncOfFolderIsNeverForgotten(t *testing.T) {
	s := newStage(t)
	f, late := s.create(t, "one"), s.create(t, "two")
	mustWrite(t, f, "text")
	failing := true
	s.folder.sync = func() error {
		if failing {
			return syscall.EIO
		}
		return nil
	}
	if err := f.Commit("mail"); !errors.Is(err, syscall.EIO) {
		t.Errorf("commit: %v, want EIO", err)
	}
	failing = false
	if err := late.Commit("late"); !errors.Is(err, syscall.EIO) {
		t.Errorf("commit after a failed sync: %v, want EIO", err)
	}
	if _, err := s.folder.Create(filepath.Join(s.tmp, "three"), 0o600); !errors.Is(err, syscall.EIO) {
		t.Errorf("create after a failed sync: %v, want EIO", err)
	}
	s.expect(t, s.tmp, nil)
	s.expect(t, s.in, nil)
}

func TestOpenFolderRefusesWhatIsNone(t *testing.T) {
	if _, err := OpenFolder(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v, want not found", err)
	}
}

// stage is a folder with another one for temporary names.
type stage struct {
	folder  *Folder
	in, tmp string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{in: t.TempDir(), tmp: t.TempDir()}
	var err error
	if s.folder, err = OpenFolder(s.in); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.folder.Close() })
	return s
}

func (s *stage) create(t *testing.T, name string) *File {
	t.Helper()
	f, err := s.folder.Create(filepath.Join(s.tmp, name), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (s *stage) expect(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != len(want) {
		t.Errorf("%s holds %v, want %d files", dir, entries, len(want))
	}
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != content {
			t.Errorf("%s: %q, %v, want %q", name, got, err, content)
		}
	}
}

func mustWrite(t *testing.T, f *File, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if _, err := f.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
}
