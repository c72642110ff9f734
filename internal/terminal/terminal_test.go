package terminal

import (
	"bytes"
	"encoding/json"
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

func TestJSONCannotControlTheTerminalAndLosesNothing(t *testing.T) {
	var out bytes.Buffer
	want := map[string]string{"a\u009b": "<é€\U0001f600> \x1b\x7f\u0085\u202e\u200b\U000e0001\n"}
	if err := (UI{Out: &out}).JSON(want); err != nil {
		t.Fatal(err)
	}
	text := `{"a\u009b":"<é€😀> \u001b\u007f\u0085\u202e\u200b\udb40\udc01\n"}` + "\n"
	if out.String() != text {
		t.Errorf("%q, want %q", out.String(), text)
	}
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got["a\u009b"] != want["a\u009b"] {
		t.Errorf("read back as %q, %v", got, err)
	}
}
