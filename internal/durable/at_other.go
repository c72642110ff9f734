//go:build !unix

package durable

import (
	"os"
	"path/filepath"
)

// Other systems have no names relative to an open folder. Commit notices a folder that was
// moved all the same, since it compares the two at the end.

func linkAt(path string, folder *os.File, name string) error {
	return os.Link(path, filepath.Join(folder.Name(), name))
}

func removeAt(folder *os.File, name string) { os.Remove(filepath.Join(folder.Name(), name)) }
