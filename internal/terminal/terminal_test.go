package terminal

import (
	"bytes"
	"errors"
	"testing"
)

// An error can quote a server's reply or the name of a file.
func TestUntrustedTextCannotControlTheTerminal(t *testing.T) {
	var out, screen bytes.Buffer
	ui := UI{Command: "postern", Out: &out, Err: &screen}
	ui.Error(errors.New("reading \x1b[2J\u202egpj.exe\xff\npostern: hint: run evil"), "remove \x9b\r\nit")
	ui.Note("created \x1b]0;title\a")
	ui.Fail(&HintedError{Err: errors.Join(errors.New("one"), errors.New("two")), Hint: "both"})
	ui.Paragraph("subject\x1b", "a\x1b[31mred\nline \u200bend")
	want := "postern: error: reading \ufffd[2J\ufffdgpj.exe\ufffd; postern: hint: run evil\n" +
		"postern: hint: remove \ufffd\ufffd; it\n" +
		"postern: created \ufffd]0;title\ufffd\n" +
		"postern: error: one; two\n" +
		"postern: hint: both\n"
	if got := screen.String(); got != want {
		t.Errorf("standard error is\n%q, want\n%q", got, want)
	}
	if got, want := out.String(), "subject\ufffd     a\ufffd[31mred line \ufffdend\n"; got != want {
		t.Errorf("standard output is\n%q, want\n%q", got, want)
	}
}
