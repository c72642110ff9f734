// Command casedocs writes the documentation of the cases of package interop: a page
// for each, with the drawing of its recorded handshake, and a list of them. It takes
// the folder of the recordings and the one to write to, and removes pages of cases
// that are gone.
//
//	go generate ./interop
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"postern/interop"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: casedocs RECORDINGS FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "casedocs:", err)
		os.Exit(1)
	}
}

func write(recordings, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	want, err := pages(interop.Cases(), recordings)
	if err != nil {
		return err
	}
	there, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		return err
	}
	for _, path := range there {
		if _, ok := want[filepath.Base(path)]; !ok {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	for name, text := range want {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
