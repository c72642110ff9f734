package main

import (
	"fmt"
	"os"
	"strings"
)

// A recording is what a page shows of a file in interop/testdata/transcripts.
type recording struct{ peer, comment, drawing string }

func readRecording(path string) (recording, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return recording{}, err
	}
	header, rest, _ := strings.Cut(string(text), "\n\n")
	drawing, _, found := strings.Cut(rest, "--- record\n")
	r := recording{drawing: drawing}
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
