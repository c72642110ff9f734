package durable

import (
	"errors"
	"io/fs"
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

func TestOpenFolderRejectsMissingFolder(t *testing.T) {
	if _, err := OpenFolder(filepath.Join(t.TempDir(), "missing"), t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open: %v, want not found", err)
	}
}
