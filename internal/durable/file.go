package durable

import (
	"io/fs"
	"os"
	"path/filepath"
)

// A File is a new file of a Folder that has no name there yet, for one goroutine. It ends
// with Commit or Discard.
type File struct {
	folder *Folder
	file   *os.File
	staged string // its path in the staging folder; empty: it has no name
}

// Create creates a file for f with the given mode before umask. It has no name; where the
// system cannot do that, it has the given one in the staging folder. The error wraps
// fs.ErrExist if that exists, and ErrMoved if the folder has been moved.
func (f *Folder) Create(staged string, mode fs.FileMode) (*File, error) {
	if err := f.failed(); err != nil {
		return nil, err
	}
	if err := f.inPlace(); err != nil {
		return nil, err
	}
	if f.unnamed {
		file, err := createUnnamed(f.file, mode)
		if err != nil {
			return nil, err
		}
		return &File{folder: f, file: file}, nil
	}
	staged = filepath.Join(f.staging, staged)
	file, err := os.OpenFile(staged, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return nil, err
	}
	return &File{folder: f, file: file, staged: staged}, nil
}

// Write appends p.
func (f *File) Write(p []byte) (int, error) { return f.file.Write(p) }

// Commit adds the file to its folder under name and returns nil once it is safe there, and
// the folder's path still leads to the folder. After an error nothing of it is left. The
// error wraps fs.ErrExist if name exists; that file is unchanged.
//
// Shortly before Commit returns, readers can see a file that is not safe yet, or that is
// removed again because the folder's sync failed.
func (f *File) Commit(name string) error {
	err := fsync(f.file)
	if err == nil {
		err = f.link(name)
	}
	// Removes a staged name before the folder is synced, so that one journal write covers
	// both. If that fails, it is left as a second name of the same file.
	f.Discard()
	if err != nil {
		return err
	}
	if err = f.folder.Sync(); err == nil {
		err = f.folder.inPlace()
	}
	if err != nil {
		removeAt(f.folder.file, name) // its sender gets an error and tries again
	}
	return err
}

func (f *File) link(name string) error {
	if f.staged == "" {
		return nameUnnamed(f.file, f.folder.file, name)
	}
	return linkAt(f.staged, f.folder.file, name)
}

// Discard removes the file. An error of close is of no interest: what it could report, a
// sync has.
func (f *File) Discard() {
	f.file.Close()
	if f.staged != "" {
		os.Remove(f.staged)
	}
}
