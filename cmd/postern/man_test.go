package main

import (
	"os"
	"testing"

	"postern/internal/manpage"
	"postern/internal/terminal"
)

// The manual pages say what --help says, all of it, and mandoc finds nothing wrong with them.
// make man runs this test to write them.
func TestManPages(t *testing.T) {
	model := newParser(terminal.UI{Command: "postern"}).Model
	pages := manpage.Commands(model, manpage.Date(t))
	explained, err := os.ReadFile("../../deploy/postern.toml")
	if err != nil {
		t.Fatal(err)
	}
	if pages["postern.toml.5"], err = manpage.Settings(string(explained), manpage.Date(t)); err != nil {
		t.Fatalf("deploy/postern.toml: %v", err)
	}
	manpage.Check(t, model, pages)
}
