//go:build unix

package durable

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// linkAt gives the file at path a name in an open folder, wherever that is by now.
func linkAt(path string, folder *os.File, name string) error {
	err := retry(func() error { return unix.Linkat(unix.AT_FDCWD, path, int(folder.Fd()), name, 0) })
	if err != nil {
		return &os.LinkError{Op: "link", Old: path, New: filepath.Join(folder.Name(), name), Err: err}
	}
	return nil
}

// removeAt removes a name from an open folder.
func removeAt(folder *os.File, name string) {
	retry(func() error { return unix.Unlinkat(int(folder.Fd()), name, 0) })
}

// retry repeats a system call that a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
