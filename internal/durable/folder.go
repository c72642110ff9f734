package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// ErrMoved means that the path of a Folder leads to another folder by now, or to none,
// because it was moved, removed or restored.
var ErrMoved = errors.New("was moved or replaced")

// A Folder is a folder to which files are added. It is safe for concurrent use.
type Folder struct {
	path    string
	staging string
	file    *os.File
	info    fs.FileInfo  // of file
	unnamed bool         // the system can create files that have no name yet, and name them
	sync    func() error // fsync of file

	mu      sync.Mutex
	ended   sync.Cond // a sync has ended
	running bool      // one sync at a time
	begun   uint64    // the number of the last sync begun
	safe    uint64    // the number of the last sync that succeeded
	err     error     // of the sync that failed
}

// OpenFolder opens the folder at path, which must exist, and syncs it, so that a file
// system that cannot do that is detected before the first file, and the folder that it is
// in. Unfinished files are in staging, a folder on the same file system, where the
// system does not have files without a name.
func OpenFolder(path, staging string) (*Folder, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	f := newFolder(path, func() error { return fsync(file) })
	f.file, f.staging = file, staging
	f.info, err = file.Stat()
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncParent(path)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	f.unnamed = canNameUnnamed(file, staging)
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

// inPlace returns an error unless the folder's path still leads to it.
func (f *Folder) inPlace() error {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, f.info) {
		return fmt.Errorf("folder %s %w", f.path, ErrMoved)
	}
	return err
}

// Close closes the folder. Syncs after it fail.
func (f *Folder) Close() error { return f.file.Close() }
