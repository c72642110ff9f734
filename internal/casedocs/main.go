// Command casedocs generates the documentation of the cases of package interop: a page
// for each, with the diagram of its recorded handshake, and a list of them. Its arguments
// are the folder of the recordings and the folder to write to. It removes pages of cases
// that no longer exist.
//
//	go generate ./interop
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

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
	existing, err := filepath.Glob(filepath.Join(folder, "*.md"))
	if err != nil {
		return err
	}
	for _, path := range existing {
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

// A recording is what a page shows of a file in interop/testdata/transcripts.
type recording struct{ peer, comment, diagram string }

func readRecording(path string) (recording, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return recording{}, err
	}
	header, rest, _ := strings.Cut(string(text), "\n\n")
	diagram, _, found := strings.Cut(rest, "--- transcript\n")
	r := recording{diagram: diagram}
	for line := range strings.Lines(header + "\n") {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), ": "); key {
		case "peer":
			r.peer = value
		case "comment":
			r.comment = value
		}
	}
	if !found || r.peer == "" || r.comment == "" {
		return recording{}, fmt.Errorf("%s has no peer, comment or record", path)
	}
	return r, nil
}
