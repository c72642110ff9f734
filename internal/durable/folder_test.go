package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
)

// Whatever the interleaving, a sync that began after the call succeeds before Sync
// returns nil.
func TestSyncBeginsAfterItsCallers(t *testing.T) {
	var clock, served atomic.Int64
	f := newFolder("folder", func() error {
		began := clock.Add(1)
		served.Store(began)
		return nil
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 2000 {
				called := clock.Add(1)
				if err := f.Sync(); err != nil {
					t.Error(err)
				}
				if s := served.Load(); s < called {
					t.Errorf("sync of %d served a caller of %d", s, called)
				}
			}
		})
	}
	wg.Wait()
}

func TestCallersShareTheSyncAfterTheRunningOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowDisk()
		s.callers(1)
		<-s.began
		s.callers(10)
		s.expectReturned(t, 0)
		s.end <- nil
		<-s.began
		s.expectReturned(t, 1)
		s.end <- nil
		s.expectReturned(t, 11)
	})
}

func TestFailedSyncFailsWaitingCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowDisk()
		s.callers(1)
		<-s.began
		s.callers(10)
		s.end <- syscall.EIO
		s.expectReturned(t, 11)
		if n := s.failed.Load(); n != 11 {
			t.Errorf("%d callers got the error of the failed sync, want all 11", n)
		}
	})
}

// A slowDisk is a folder whose syncs end when the test says so.
type slowDisk struct {
	*Folder
	began            chan struct{}
	end              chan error
	returned, failed atomic.Int64
}

func newSlowDisk() *slowDisk {
	s := &slowDisk{began: make(chan struct{}), end: make(chan error)}
	s.Folder = newFolder("folder", func() error {
		s.began <- struct{}{}
		return <-s.end
	})
	return s
}

func (s *slowDisk) callers(n int) {
	for range n {
		go func() {
			if s.Sync() != nil {
				s.failed.Add(1)
			}
			s.returned.Add(1)
		}()
	}
}

func (s *slowDisk) expectReturned(t *testing.T, want int64) {
	t.Helper()
	synctest.Wait()
	if n := s.returned.Load(); n != want {
		t.Errorf("%d callers have returned, want %d", n, want)
	}
}

func TestCommitAddsWholeFile(t *testing.T) {
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

func TestCommitRejectsExistingName(t *testing.T) {
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

func TestCreateRejectsExistingName(t *testing.T) {
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

// A pipe is a file that the system refuses to sync.
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

func TestFailedSyncOfFolderIsFinal(t *testing.T) {
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

func TestOpenFolderRejectsMissingFolder(t *testing.T) {
	if _, err := OpenFolder(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v, want not found", err)
	}
}

// A stage is a folder, with another one for temporary names.
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
