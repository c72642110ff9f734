package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestCommitAddsWholeFile(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
		f := s.create(t, "one")
		mustWrite(t, f, "first ", "second")
		s.expect(t, s.in, nil)
		if err := f.Commit("mail"); err != nil {
			t.Fatal(err)
		}
		s.expect(t, s.in, map[string]string{"mail": "first second"})
		s.expect(t, s.tmp, nil)
	})
}

func TestCommittedFileHasItsMode(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
		if err := s.create(t, "one").Commit("mail"); err != nil {
			t.Fatal(err)
		}
		if stat, err := os.Stat(filepath.Join(s.in, "mail")); err != nil || stat.Mode() != 0o600 {
			t.Errorf("file: %v, %v, want mode 0600", stat, err)
		}
	})
}

func TestCommitRejectsExistingName(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
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
	})
}

// On ext4, XFS, Btrfs and tmpfs an unfinished file has no name that a crash could leave.
func TestUnfinishedFileHasNoName(t *testing.T) {
	s := newStage(t)
	s.requireUnnamed(t)
	mustWrite(t, s.create(t, "one"), "text")
	s.expect(t, s.in, nil)
	s.expect(t, s.tmp, nil)
}

func TestCreateRejectsExistingStagedName(t *testing.T) {
	s := newStage(t)
	s.folder.unnamed = false
	f := s.create(t, "one")
	if _, err := s.folder.Create("one", 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second create: %v, want it refused", err)
	}
	mustWrite(t, f, "mine")
	s.expect(t, s.tmp, map[string]string{"one": "mine"})
}

func TestDiscardLeavesNothing(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
		f := s.create(t, "one")
		mustWrite(t, f, "text")
		f.Discard()
		s.expect(t, s.tmp, nil)
		s.expect(t, s.in, nil)
	})
}

func TestWriteReportsFullDisk(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
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
	})
}

// After mv and mkdir, as in a restore, the path leads to a folder that this one does not
// sync. Neither folder gets a file that is called safe.
func TestMovedFolderGetsNoFiles(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
		before := s.create(t, "before")
		mustWrite(t, before, "text")
		s.replace(t)
		if err := before.Commit("before"); !errors.Is(err, ErrMoved) {
			t.Errorf("commit after the move: %v, want ErrMoved", err)
		}
		if _, err := s.folder.Create("after", 0o600); !errors.Is(err, ErrMoved) {
			t.Errorf("create after the move: %v, want ErrMoved", err)
		}
		s.expect(t, s.in, nil)
		s.expect(t, s.in+".old", nil)
		s.expect(t, s.tmp, nil)
	})
}

func TestFolderMovedDuringCommitGetsNoFiles(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
		f := s.create(t, "one")
		mustWrite(t, f, "text")
		s.folder.sync = func() error {
			s.expect(t, s.in, map[string]string{"mail": "text"})
			s.replace(t)
			return nil
		}
		if err := f.Commit("mail"); !errors.Is(err, ErrMoved) {
			t.Errorf("commit: %v, want ErrMoved", err)
		}
		s.expect(t, s.in, nil)
		s.expect(t, s.in+".old", nil)
		s.expect(t, s.tmp, nil)
	})
}

func TestRemovedFolderGetsNoFiles(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
		f := s.create(t, "one")
		if err := os.Remove(s.in); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit("mail"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("commit: %v, want not found", err)
		}
		if _, err := s.folder.Create("two", 0o600); !errors.Is(err, ErrMoved) {
			t.Errorf("create: %v, want ErrMoved", err)
		}
		s.expect(t, s.tmp, nil)
	})
}

func TestClosedFolderGetsNoFiles(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
		f := s.create(t, "one")
		if err := s.folder.Close(); err != nil {
			t.Fatal(err)
		}
		if err := f.Commit("mail"); err == nil {
			t.Error("commit to a closed folder succeeded")
		}
		if f, err := s.folder.Create("two", 0o600); err == nil && f.Commit("mail") == nil {
			t.Error("create in a closed folder and commit succeeded")
		}
		s.expect(t, s.in, nil)
		s.expect(t, s.tmp, nil)
	})
}

func TestFailedSyncOfFolderIsFinal(t *testing.T) {
	eachWay(t, func(t *testing.T, s *stage) {
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
		if _, err := s.folder.Create("three", 0o600); !errors.Is(err, syscall.EIO) {
			t.Errorf("create after a failed sync: %v, want EIO", err)
		}
		s.expect(t, s.tmp, nil)
		s.expect(t, s.in, nil)
	})
}

// A stage is a folder, with another one for staged names.
type stage struct {
	folder  *Folder
	in, tmp string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	dir := t.TempDir()
	s := &stage{in: filepath.Join(dir, "in"), tmp: filepath.Join(dir, "tmp")}
	for _, dir := range []string{s.in, s.tmp} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.folder, err = OpenFolder(s.in, s.tmp); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.folder.Close() })
	return s
}

// eachWay runs a test with files without a name, where the system has them, and with
// staged ones.
func eachWay(t *testing.T, test func(*testing.T, *stage)) {
	t.Run("unnamed", func(t *testing.T) {
		s := newStage(t)
		s.requireUnnamed(t)
		test(t, s)
	})
	t.Run("staged", func(t *testing.T) {
		s := newStage(t)
		s.folder.unnamed = false
		test(t, s)
	})
}

// requireUnnamed skips a test where the system has no files without a name. The folder
// must have noticed that.
func (s *stage) requireUnnamed(t *testing.T) {
	t.Helper()
	if has := hasUnnamed(s.in); s.folder.unnamed != has {
		t.Fatalf("files without a name: %v, want %v", s.folder.unnamed, has)
	} else if !has {
		t.Skip("this file system has no files without a name")
	}
}

// replace moves the folder away and makes another one in its place.
func (s *stage) replace(t *testing.T) {
	t.Helper()
	if err := os.Rename(s.in, s.in+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(s.in, 0o700); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) create(t *testing.T, staged string) *File {
	t.Helper()
	f, err := s.folder.Create(staged, 0o600)
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
