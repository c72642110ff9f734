// Package testdisk mounts small disks for tests, to fill up or make read-only.
package testdisk

import (
	"os"
	"syscall"
	"testing"
)

// Mount mounts a tmpfs with the given options and returns its folder. It is unmounted when
// the test ends. Only root can do that: see [Root].
func Mount(t *testing.T, options string) string {
	t.Helper()
	Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mounting tmpfs with %s: %v", options, err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Root skips the test unless it runs as root, who may mount. Under CI=true it fails it.
func Root(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatal("only root can mount")
	default:
		t.Skip("only root can mount")
	}
}

// Remount changes the mount options of the disk at dir, as by MS_RDONLY or another size.
func Remount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, options); err != nil {
		t.Fatalf("remounting %s with %s: %v", dir, options, err)
	}
}
