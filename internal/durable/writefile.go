package durable

import (
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile puts content under name, in place of what may be there: readers
// and those who come after a crash find the old content or the new, whole. The
// file has exactly the given mode. It is for small files that change rarely,
// such as keys.
//
// A symbolic link is replaced, not followed. A crash can leave a file behind
// whose name begins with a dot and the name.
func WriteFile(name string, content []byte, mode fs.FileMode) error {
	dir := filepath.Dir(name)
	f, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	err = fill(f, content, mode)
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return syncFolder(dir)
}

// fill writes, syncs and closes f. It sets the mode first: a key is never
// readable by more than it will be.
func fill(f *os.File, content []byte, mode fs.FileMode) error {
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}
