// Package durable writes files that survive a crash: after its functions return nil, a
// crash of the process or the system, or a power cut, does not lose what was written.
// No other package calls fsync.
//
// # System calls
//
// [Folder.Create], [File.Write] and [File.Commit] add a new file to a folder:
//
//	open(folder, O_TMPFILE)     a file without a name
//	write                       as often as needed
//	fsync(file)                 content and size are on disk
//	link(file, folder, name)    complete under its name, or EEXIST
//	close
//	fsync(folder)               the name is on disk
//	stat(path)                  the path still leads to the folder
//
// Link is relative to the open folder, so that it names the file in the folder that is
// synced. A path could lead to another one by now: after mv and mkdir, as in a restore,
// the name would be in a folder that was never synced.
//
// Where the file system has no files without a name (NFS, FUSE, systems other than Linux),
// or /proc is missing, the file is created under a name in a staging folder, and that name
// is removed after link. This is slower, and a crash can leave the file.
// Link and unlink are used instead of rename, which would replace a file of the same name.
//
// [WriteFile] replaces a small file, by rename. [MkdirAll] creates folders and syncs the
// parent of each: otherwise a new folder could be lost with all that is in it.
//
// Concurrent callers of [Folder.Sync] share syncs. With 20 writers of 4 KiB files on
// ext4 that needs a third fewer disk flushes for each file than one sync each, and wrote
// 10 to 30 % more files a second. With one writer there is no difference.
//
// # Limits
//
// A failed fsync is final. When the system could not write pages back, it reports that
// once, and may then mark the lost pages as clean: a second fsync of the same file
// returns success for bytes that are not on disk
// (https://wiki.postgresql.org/wiki/Fsync_Errors; Rebello et al., Can Applications
// Recover from fsync Failures?, USENIX ATC 2020). So no fsync is tried again, except
// after EINTR (os.File.Sync does that). A file whose sync failed is removed; the sender
// tries again. A folder whose sync failed accepts no more files until it is opened
// again, which an administrator should do after checking the disk.
//
// Some disks and controllers confirm writes that they can still lose, and some file
// systems, such as tmpfs, ignore fsync. Nothing here can detect that.
//
// On file systems without hard links (FAT) Commit returns an error.
//
// # Errors
//
// They are those of package os, which name the system call and the path.
package durable

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// fsync is a variable so that tests can count its calls and let them fail.
var fsync = (*os.File).Sync

// WriteFile writes content to the file name, and replaces one that exists: at any time,
// also after a crash, the file has the old content or the new, complete. It has exactly
// the given mode. It is for small files that change rarely, such as keys.
//
// A symbolic link is replaced, not followed. A crash can leave a file whose name begins
// with a dot and the base name.
func WriteFile(name string, content []byte, mode fs.FileMode) error {
	dir, base := filepath.Dir(name), filepath.Base(name)
	folder, err := os.OpenRoot(dir) // its file is renamed and its names are synced, wherever it is by now
	if err != nil {
		return err
	}
	defer folder.Close()
	tmp := "." + base + "." + rand.Text()
	f, err := folder.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = fill(f, content, mode)
	}
	if err == nil {
		err = folder.Rename(tmp, base)
	}
	if err != nil {
		folder.Remove(tmp)
		return about(name, err)
	}
	return syncRoot(folder)
}

// about makes an error of an [os.Root] name a file itself, not a temporary one.
func about(name string, err error) error {
	switch err := err.(type) {
	case *fs.PathError:
		return &fs.PathError{Op: err.Op, Path: name, Err: err.Err}
	case *os.LinkError:
		return &fs.PathError{Op: err.Op, Path: name, Err: err.Err}
	}
	return err
}

// fill writes, syncs and closes f. It sets the mode first, so that a key is never
// readable by others.
func fill(f *os.File, content []byte, mode fs.FileMode) error {
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := fsync(f); err != nil {
		return err
	}
	return f.Close()
}

// MkdirAll creates the folder dir and its missing parents, with the given mode before
// umask, and syncs the parent of each. A dir that exists is left as it is; its parent is
// synced, since the process that created it may have died before it did that.
func MkdirAll(dir string, mode fs.FileMode) error {
	exists, err := isFolder(dir)
	if err != nil {
		return err
	}
	if exists {
		return syncParent(dir)
	}
	dir = filepath.Clean(dir)
	parent, base := filepath.Split(dir)
	parent = filepath.Clean(parent)
	if err := MkdirAll(parent, mode); err != nil {
		return err
	}
	folder, err := os.OpenRoot(parent)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Mkdir(base, mode); err != nil {
		// Another process may have been faster.
		if exists, _ := isFolder(dir); !exists {
			return about(dir, err)
		}
	}
	return syncRoot(folder)
}

// isFolder reports whether there is a folder. It returns an error if there is something
// else.
func isFolder(dir string) (bool, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.IsDir():
		return false, &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	}
	return true, nil
}

// syncParent syncs the folder that dir is in, also where dir is a symbolic link to it. A
// process that may not read that folder did not create dir.
func syncParent(dir string) error {
	parent, err := os.Open(dir + "/..")
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer parent.Close()
	return fsync(parent)
}

func syncRoot(folder *os.Root) error {
	f, err := folder.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return fsync(f)
}
