package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// DataFolder returns the data folder that a file sets, or the default.
func DataFolder(file string) (string, error) {
	c, err := loadOnly(file, "data")
	if err != nil {
		return "", err
	}
	return c.Data, nil
}

// MetricsAddress returns where a file sets that metrics are served, the default, or [Off].
func MetricsAddress(file string) (string, error) {
	c, err := loadOnly(file, "metrics.listen")
	if err != nil {
		return "", err
	}
	return c.Metrics.Listen, nil
}

// loadOnly reads one key of a file. It checks nothing else, so that it needs no right to
// read keys of certificates.
func loadOnly(file, key string) (*Config, error) {
	l := newLoading(nil)
	for i, s := range l.read(file) {
		if s.key == key {
			l.apply(s, i)
		}
	}
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	return l.config, nil
}

// checkData tries to create a file in the data folder, or where that will be
// created. It leaves nothing behind.
func (l *loading) checkData() {
	dir := existing(l.config.Data)
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		l.add("data", dir+" is not a folder", "set a folder; it is created if it does not exist")
		return
	}
	if err := tryWrite(dir, 0); err != nil {
		l.add("data", fmt.Sprintf("cannot create files in %s: %v", dir, pathless(err)), WriteRemedy(err, dir))
	}
}

// checkRoom tries to write a small message in the data folder. A server starts without
// room there: it defers mail, or passes it to the next hop.
func (w *warnings) checkRoom() {
	const size = 64 << 10
	dir := existing(w.config.Data)
	if err := tryWrite(dir, size); err != nil {
		w.add("data", fmt.Sprintf("cannot write in %s: %v", dir, pathless(err)), WriteRemedy(err, dir))
	}
}

// existing returns a file or folder that exists: dir, or the nearest one above it.
func existing(dir string) string {
	for {
		_, err := os.Stat(dir)
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return dir
		}
		dir = parent
	}
}

// tryWrite writes a file of a size in a folder, and removes it.
func tryWrite(dir string, size int) error {
	f, err := os.CreateTemp(dir, ".postern-check-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	_, err = f.Write(make([]byte, size))
	return err
}

// WriteRemedy returns what to do about an error of writing in a folder.
func WriteRemedy(err error, folder string) string {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "free space or inodes on the disk of " + folder + ", see df and df -i, or set another folder with --data"
	case errors.Is(err, syscall.EROFS):
		return "mount the disk of " + folder + " for writing, or set another folder with --data"
	case errors.Is(err, syscall.EIO):
		return "look for errors of the disk of " + folder + " with dmesg"
	case errors.Is(err, fs.ErrPermission):
		return "let the user that postern runs as write in " + folder + ", or set another folder with --data"
	}
	return "set another folder with --data"
}
