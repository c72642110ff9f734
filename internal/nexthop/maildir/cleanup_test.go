package maildir

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/testdisk"
)

func TestLeftoversAreRemovedAtStartAndDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFolder(t)
		f.leave(t, "tmp/old", 36*time.Hour+time.Minute)
		f.leave(t, "tmp/young", 36*time.Hour-time.Minute)
		f.leave(t, "new/mail", 1000*time.Hour)
		if err := os.Mkdir(filepath.Join(f.dir, "tmp/folder"), 0o700); err != nil {
			t.Fatal(err)
		}
		f.age(t, "tmp/folder", 1000*time.Hour)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			f.maildir.Run(ctx)
			close(ended)
		}()
		synctest.Wait()
		f.expectNames(t, "tmp", "folder", "young")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		f.expectNames(t, "tmp", "folder")
		f.expectNames(t, "new", "mail")
		stop()
		<-ended
		f.expectLogged(t, 2, "messages=1")
	})
}

func TestFailedCleanupIsLogged(t *testing.T) {
	f := newFolder(t)
	if err := os.Remove(filepath.Join(f.dir, "tmp")); err != nil {
		t.Fatal(err)
	}
	f.maildir.clean(time.Now())
	f.expectLogged(t, 1, "cannot remove leftover Maildir files")
}

// All files are tried, and the log has the first error.
func TestFirstFailureOfACleanupIsLogged(t *testing.T) {
	disk := testdisk.Mount(t, "size=1m")
	f := folderIn(t, filepath.Join(disk, "maildir"))
	f.leave(t, "tmp/first", 48*time.Hour)
	f.leave(t, "tmp/second", 48*time.Hour)
	f.leave(t, "tmp/young", time.Hour)
	testdisk.Remount(t, disk, syscall.MS_RDONLY, "")
	f.maildir.clean(time.Now())
	f.expectLogged(t, 1, "tmp/first")
	testdisk.Remount(t, disk, 0, "")
	f.maildir.clean(time.Now())
	f.expectLogged(t, 2, "messages=2")
	f.expectNames(t, "tmp", "young")
}

// leave creates a file that was last written to some time ago.
func (f *folder) leave(t *testing.T, name string, ago time.Duration) {
	t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.age(t, name, ago)
}

func (f *folder) age(t *testing.T, name string, ago time.Duration) {
	t.Helper()
	then := time.Now().Add(-ago)
	if err := os.Chtimes(filepath.Join(f.dir, name), then, then); err != nil {
		t.Fatal(err)
	}
}

func (f *folder) expectNames(t *testing.T, sub string, want ...string) {
	t.Helper()
	if got := f.files(t, sub); !slices.Equal(got, want) {
		t.Errorf("%s/ holds %v, want %v", sub, got, want)
	}
}
