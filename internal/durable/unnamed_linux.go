package durable

import (
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// createUnnamed creates a file without a name on the file system of folder (open(2),
// O_TMPFILE). The system removes it when it is closed and has not got one. os.OpenFile
// would make five more system calls, to find out whether the file can be polled.
func createUnnamed(folder *os.File, mode fs.FileMode) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(int(folder.Fd()), ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, uint32(mode.Perm()))
		return err
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: folder.Name(), Err: err}
	}
	return os.NewFile(uintptr(fd), folder.Name()), nil
}

// nameUnnamed gives an unnamed file a name in a folder.
func nameUnnamed(file, folder *os.File, name string) error {
	if err := linkUnnamed(file, int(folder.Fd()), name); err != nil {
		return &fs.PathError{Op: "link", Path: filepath.Join(folder.Name(), name), Err: err}
	}
	return nil
}

// linkUnnamed uses /proc, as open(2) shows. AT_EMPTY_PATH would do without, but needs a
// capability that lets a process read all files.
func linkUnnamed(file *os.File, folder int, name string) error {
	opened := "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
	return retry(func() error { return unix.Linkat(unix.AT_FDCWD, opened, folder, name, unix.AT_SYMLINK_FOLLOW) })
}

// canNameUnnamed reports whether a file without a name can be created and then named.
// NFS and FUSE cannot do the first, and without /proc nothing can do the second.
func canNameUnnamed(folder *os.File, staging string) bool {
	file, err := createUnnamed(folder, 0o600)
	if err != nil {
		return false
	}
	defer file.Close()
	name := filepath.Join(staging, rand.Text())
	if err := linkUnnamed(file, unix.AT_FDCWD, name); err != nil {
		return false
	}
	return os.Remove(name) == nil
}
