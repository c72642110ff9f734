package server

import (
	"errors"
	"log/slog"
	"os"

	"postern/internal/logkey"
)

// errLocked means that another process has the lock.
var errLocked = errors.New("another postern serve uses this data folder")

// lockData makes sure that no other server uses the data folder: two would count, learn and
// clean up against each other. The system removes the lock when the process ends, however
// it ends. Commands do without it: what they change in the folder, they may at any time.
//
// The lock is one of the folder itself, so that it needs no file, no right to write and no
// space. NFS has no such locks; mail is then more important than the certainty.
func lockData(dir string, log *slog.Logger) (*os.File, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	switch err := lock(folder); {
	case errors.Is(err, errLocked):
		folder.Close()
		return nil, &lockedError{dir}
	case err != nil:
		log.Warn("cannot lock data folder; make sure that no other server uses it", logkey.Err, err)
	}
	return folder, nil
}

type lockedError struct{ dir string }

func (e *lockedError) Error() string { return e.dir + ": " + errLocked.Error() }

// Remedy says what to do about it.
func (e *lockedError) Remedy() string {
	return "stop that server, which fuser " + e.dir + " finds, or set another folder with --data"
}
