// Package testdisk mounts small disks for tests, to fill up or make read-only.
package testdisk

import (
	"os"
	"syscall"
	"testing"
)

// Mount mounts a tmpfs with the given options and returns its folder. It is unmounted when
// the test ends. Without root Mount skips the test, or fails it under CI=true.
func Mount(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("CI") != "true" {
		t.Skip("only root can mount a small disk")
	}
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

// Remount changes the mount options of the disk at dir, as by MS_RDONLY or another size.
func Remount(t *testing.T, dir string, flags uintptr, options string) {
	t.Helper()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, options); err != nil {
		t.Fatalf("remounting %s with %s: %v", dir, options, err)
	}
}
