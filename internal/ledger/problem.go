package ledger

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	sqlite3 "modernc.org/sqlite/lib"
)

// A problem is an error of the file in words, with what to do about it. SQLite's own words name
// neither.
type problem struct {
	what, remedy string
	err          error
}

func (p *problem) Error() string { return p.what }
func (p *problem) Unwrap() error { return p.err }

// Remedy says what to do.
func (p *problem) Remedy() string { return p.remedy }

// explained returns an error of SQLite or of the operating system, on the ledger at path, as a
// problem. Others it returns as they are.
func explained(path string, err error) error {
	var known *problem
	if err == nil || errors.As(err, &known) {
		return err
	}
	p := explainedCode(primary(err), path)
	if p == nil {
		p = explainedErrno(err, path)
	}
	if p == nil {
		return err
	}
	p.err = err
	return p
}

// explainedCode explains a result code of SQLite (https://sqlite.org/rescode.html).
func explainedCode(code int, path string) *problem {
	switch code {
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR:
		return explainedErrno(cmp.Or(access(path), error(syscall.EIO)), path)
	case sqlite3.SQLITE_FULL:
		return explainedErrno(syscall.ENOSPC, path)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return &problem{what: "the file is damaged, or is no ledger", remedy: "start postern serve: it renames the file and begins a new one; sqlite3's .dump may read a part of the old one"}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return &problem{what: "another process is writing to the file", remedy: "try again; if that does not help, look for the process with fuser " + path}
	}
	return nil
}

// explainedErrno explains an error of the operating system.
func explainedErrno(err error, path string) *problem {
	folder := filepath.Dir(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &problem{what: "no permission to read and write the file and in its folder", remedy: "run the command as root or as the user that postern serve runs as"}
	case errors.Is(err, syscall.ENOENT):
		return &problem{what: "there is no folder " + folder, remedy: "create it, or set another data folder"}
	case errors.Is(err, syscall.ENOTDIR):
		return &problem{what: folder + " is not a folder", remedy: "set another data folder"}
	case errors.Is(err, syscall.EISDIR):
		return &problem{what: "it is a folder, not a file", remedy: "remove the folder, or set another data folder"}
	case errors.Is(err, syscall.EROFS):
		return &problem{what: "the disk is mounted read-only", remedy: "mount the disk of " + folder + " for writing"}
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &problem{what: "the disk is full", remedy: "free space or inodes on the disk of " + folder + ", see df and df -i"}
	case errors.Is(err, syscall.EIO):
		return &problem{what: "the disk failed", remedy: "look for errors of the disk of " + folder + " with dmesg"}
	}
	return nil
}

// access returns why SQLite cannot use the file and keep others beside it; nil if it can.
func access(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.Close()
	beside, err := os.CreateTemp(filepath.Dir(path), ".ledger-*")
	if err != nil {
		return err
	}
	defer os.Remove(beside.Name())
	_, err = beside.Write(make([]byte, 64<<10)) // more than its shared memory takes at first
	return cmp.Or(err, beside.Close())
}
