package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// MkdirAll makes the folder dir and those above it that are missing, with the
// given mode before umask, and syncs the folder around each. A dir that exists
// is left as it is.
func MkdirAll(dir string, mode fs.FileMode) error {
	parent := filepath.Dir(filepath.Clean(dir))
	err := os.Mkdir(dir, mode)
	if errors.Is(err, fs.ErrNotExist) {
		if err := MkdirAll(parent, mode); err != nil {
			return err
		}
		err = os.Mkdir(dir, mode)
	}
	if errors.Is(err, fs.ErrExist) {
		return syncFound(dir, parent)
	}
	if err != nil {
		return err
	}
	return syncFolder(parent)
}

// syncFound syncs around a dir that was there, since the process that made it
// may have died before it could. Who may not read the parent did not make dir.
func syncFound(dir, parent string) error {
	stat, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !stat.IsDir() {
		return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	if err := syncFolder(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}
