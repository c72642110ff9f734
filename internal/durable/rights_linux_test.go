package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// A folder above the data folder often belongs to root and cannot be read by others.
func TestUnreadableParentIsNotSynced(t *testing.T) {
	parent, err := os.MkdirTemp("", "parent") // only the owner may search those of t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { errors.Join(os.Chmod(parent, 0o700), os.RemoveAll(parent)) })
	dir := filepath.Join(parent, "data")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777), os.Chmod(parent, 0o311)); err != nil {
		t.Fatal(err)
	}
	asOtherUser(t, func() {
		if _, err := os.ReadDir(parent); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("reading the parent: %v, want it refused", err)
		}
		if err := MkdirAll(dir, 0o700); err != nil {
			t.Errorf("MkdirAll: %v", err)
		}
		if err := MkdirAll(filepath.Join(dir, "below"), 0o700); err != nil {
			t.Errorf("MkdirAll below: %v", err)
		}
		if err := WriteFile(filepath.Join(dir, "key.pem"), []byte("key"), 0o600); err != nil {
			t.Errorf("WriteFile: %v", err)
		}
		if f, err := OpenFolder(dir, dir); err != nil {
			t.Errorf("OpenFolder: %v", err)
		} else {
			f.Close()
		}
		// What cannot be synced is not created.
		if err := MkdirAll(filepath.Join(parent, "other"), 0o700); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("MkdirAll in the parent: %v, want it refused", err)
		}
	})
}

// asOtherUser calls do with the rights to files of a user who has none, if the test runs as
// root, whose rights no mode restricts.
func asOtherUser(t *testing.T, do func()) {
	if os.Geteuid() != 0 {
		do()
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: the thread ends with its rights
		const nobody = 65534
		if err := errors.Join(unix.Setfsgid(nobody), unix.Setfsuid(nobody)); err != nil {
			t.Error(err)
			return
		}
		do()
	}()
	<-ended
}
