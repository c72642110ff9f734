package durable

import (
	"io/fs"
	"os"
)

// File is a new file that is being written under a temporary name, for one
// goroutine. It ends with Commit or Discard.
type File struct {
	folder *Folder
	tmp    string
	file   *os.File
}

// Create begins a file that is to go into f. Until then it is called tmp, a
// path on the same file system, and has the given mode before umask. The error
// wraps fs.ErrExist where that name is taken.
func (f *Folder) Create(tmp string, mode fs.FileMode) (*File, error) {
	if err := f.trusted(); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return nil, err
	}
	return &File{folder: f, tmp: tmp, file: file}, nil
}

// Write appends p.
func (f *File) Write(p []byte) (int, error) { return f.file.Write(p) }

// Commit puts the file into its folder under name and returns nil once it is
// safe there. Otherwise nothing is left of it. The error wraps fs.ErrExist
// where the name is taken; the file of that name is as it was.
//
// For a moment before Commit returns, the file can be seen in the folder
// though it is not safe yet, or is about to be removed again since the
// folder's sync failed.
func (f *File) Commit(name string) error {
	if err := f.file.Sync(); err != nil {
		f.Discard()
		return err
	}
	if err := f.file.Close(); err != nil {
		os.Remove(f.tmp)
		return err
	}
	return f.folder.place(f.tmp, name)
}

// Discard removes the file in place of Commit.
func (f *File) Discard() {
	f.file.Close()
	os.Remove(f.tmp)
}
