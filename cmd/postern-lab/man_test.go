package main

import (
	"testing"

	"postern/internal/manpage"
	"postern/internal/terminal"
)

// As for postern.
func TestManPages(t *testing.T) {
	model := newParser(terminal.UI{Command: "postern-lab"}).Model
	manpage.Check(t, model, manpage.Commands(model, manpage.Date(t)))
}
