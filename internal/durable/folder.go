package durable

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Folder is a folder that files are committed to. It is safe for concurrent
// use.
type Folder struct {
	path string
	file *os.File
	sync func() error // file.Sync

	mu      sync.Mutex
	ended   sync.Cond // a sync has
	running bool      // one sync at a time
	begun   uint64    // the number of the last sync begun
	safe    uint64    // what was in place before this sync began is on disk
	err     error     // of the sync that failed
}

// OpenFolder opens the folder at path, which must exist, and syncs it: a file
// system that cannot do this is found out here, not by the first file.
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

// Sync returns nil once every name that was put into the folder or taken from
// it before the call is so on disk.
//
// Callers that come while a sync is running share the one after it, since the
// running one may have begun before their names were in place.
//
// After a sync has failed, Sync returns its error for good (see the package
// comment).
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

// run does one sync, without holding mu while it lasts.
func (f *Folder) run() {
	f.running = true
	f.begun++
	f.mu.Unlock()
	err := f.sync()
	f.mu.Lock()
	f.running = false
	if err != nil {
		f.err = fmt.Errorf("folder %s takes no more files, check the disk and start again: %w", f.path, err)
	} else {
		f.safe = f.begun
	}
	f.ended.Broadcast()
}

// trusted returns the error of the sync that failed, if one has.
func (f *Folder) trusted() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// place gives the synced file tmp its name in the folder.
func (f *Folder) place(tmp, name string) error {
	target := filepath.Join(f.path, name)
	err := os.Link(tmp, target)
	// Gone before the sync, so that one journal write covers both. What stays
	// behind is a second name of the same file.
	os.Remove(tmp)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		os.Remove(target) // its sender hears of an error and comes again
		return err
	}
	return nil
}

// Close closes the folder. Syncs after it fail.
func (f *Folder) Close() error { return f.file.Close() }

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
