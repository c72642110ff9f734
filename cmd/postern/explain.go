package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"postern/handshake"
)

// explain is the subcommand that explains handshakes from a file.
type explain struct {
	File  string `arg:"" help:"A transcript in JSON (docs/transcript-format.md); - is standard input."`
	ASCII bool   `help:"Draw in ASCII."`
}

// Run is called by kong.
func (e explain) Run(ui terminal) error {
	content, err := e.read()
	if err != nil {
		return err
	}
	transcript, err := handshake.Parse(content)
	if err != nil {
		return err
	}
	found, failed := ui.explained(transcript, handshake.DrawOptions{ASCII: e.ASCII, Location: time.Local})
	switch {
	case found:
		return exitStatus(exitFailed)
	case failed:
		return exitStatus(exitUnclear)
	}
	return nil
}

func (e explain) read() ([]byte, error) {
	file := os.Stdin
	if e.File != "-" {
		var err error
		if file, err = os.Open(e.File); err != nil {
			return nil, fmt.Errorf("explain: %w", err)
		}
		defer file.Close()
	}
	return io.ReadAll(io.LimitReader(file, handshake.MaxSize+1))
}
