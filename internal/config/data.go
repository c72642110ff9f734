package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// checkData tries whether files can be made in the data folder, or where it
// will be. It leaves nothing there.
func (l *loading) checkData() {
	dir := l.config.Data
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			l.add("data", dir+" is no folder", "name a folder, it is made if missing")
			return
		}
		if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			dir = parent
			continue
		}
		break
	}
	f, err := os.CreateTemp(dir, ".postern-check-*")
	if err != nil {
		l.add("data", fmt.Sprintf("files cannot be made in %s: %v", dir, pathless(err)), "let the user that postern runs as write there, or name another folder by --data")
		return
	}
	f.Close()
	os.Remove(f.Name())
}

// pathless drops the path from an error where the message has it.
func pathless(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
