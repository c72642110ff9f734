package durable

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// A Folder is a folder to which files are added. It is safe for concurrent use.
type Folder struct {
	path string
	file *os.File
	sync func() error // file.Sync

	mu      sync.Mutex
	ended   sync.Cond // a sync has ended
	running bool      // one sync at a time
	begun   uint64    // the number of the last sync begun
	safe    uint64    // the number of the last sync that succeeded
	err     error     // of the sync that failed
}

// OpenFolder opens the folder at path, which must exist, and syncs it, so that a file
// system that cannot do that is detected before the first file.
func OpenFolder(path string) (*Folder, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := newFolder(path, file.Sync)
	f.file = file
	if err := f.Sync(); err != nil {
		file.Close()
		return nil, err
	}
	return f, nil
}

func newFolder(path string, sync func() error) *Folder {
	f := &Folder{path: path, sync: sync}
	f.ended.L = &f.mu
	return f
}

// Sync returns nil once every name that was added to the folder or removed from it
// before the call is on disk.
//
// Callers that come while a sync is running share the next one, since the running one
// may have begun before their names were in place.
//
// After a sync has failed, Sync always returns its error (see the package comment).
func (f *Folder) Sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	next := f.begun + 1
	for f.safe < next {
		switch {
		case f.err != nil:
			return f.err
		case f.running:
			f.ended.Wait()
		default:
			f.run()
		}
	}
	return nil
}

// run does one sync. It does not hold mu meanwhile.
func (f *Folder) run() {
	f.running = true
	f.begun++
	f.mu.Unlock()
	err := f.sync()
	f.mu.Lock()
	f.running = false
	if err != nil {
		f.err = fmt.Errorf("folder %s accepts no more files; check the disk and restart: %w", f.path, err)
	} else {
		f.safe = f.begun
	}
	f.ended.Broadcast()
}

// failed returns the error of the sync that failed, if one has.
func (f *Folder) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// place gives the synced file tmp its name in the folder.
func (f *Folder) place(tmp, name string) error {
	target := filepath.Join(f.path, name)
	err := os.Link(tmp, target)
	// Before the sync, so that one journal write covers both. If it fails, tmp is left
	// as a second name of the same file.
	os.Remove(tmp)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		os.Remove(target) // its sender gets an error and tries again
		return err
	}
	return nil
}

// Close closes the folder. Syncs after it fail.
func (f *Folder) Close() error { return f.file.Close() }

// A File is a new file that is written under a temporary name, for one goroutine. It
// ends with Commit or Discard.
type File struct {
	folder *Folder
	tmp    string
	file   *os.File
}

// Create creates a file for f at tmp, a path on the same file system, with the given
// mode before umask. The error wraps fs.ErrExist if tmp exists.
func (f *Folder) Create(tmp string, mode fs.FileMode) (*File, error) {
	if err := f.failed(); err != nil {
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

// Commit adds the file to its folder under name and returns nil once it is safe there.
// After an error nothing of it is left. The error wraps fs.ErrExist if name exists; that
// file is unchanged.
//
// Shortly before Commit returns, readers can see a file that is not safe yet, or that is
// removed again because the folder's sync failed.
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

// Discard removes the file.
func (f *File) Discard() {
	f.file.Close()
	os.Remove(f.tmp)
}
