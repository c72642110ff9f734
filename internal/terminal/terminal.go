// Package terminal prints results, errors, hints and progress for the commands.
//
// Results go to standard output; errors, hints, notes, progress and the log
// go to standard error. An error is a line "postern: error: what, where" without a full
// stop, followed by a line "postern: hint: remedy" if a remedy is known. An error that does
// not help is a bug.
//
// Errors, hints, notes and paragraphs may contain untrusted text: they are printed as
// [safetext.Printable] returns them, and an error stays one line.
package terminal

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"postern/internal/buildinfo"
	"postern/internal/oserror"
	"postern/internal/safetext"
)

// A UI is where a command writes.
type UI struct {
	Command string // the command's name, before errors and notes
	Usage   string // the hint for a wrong command line
	Out     io.Writer
	Err     io.Writer
}

// An ExitStatus ends a command that has already printed everything.
type ExitStatus int

// The exit statuses.
const (
	ExitFailed  ExitStatus = 1 // something failed, or a check found something
	ExitUsage   ExitStatus = 2 // wrong command line or configuration
	ExitUnclear ExitStatus = 3 // inconclusive: something did not answer
)

func (e ExitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// Fail prints an error and returns the exit status for it: 0 for nil. If the error has a
// method Remedy, as [HintedError] has, that is its hint.
func (u UI) Fail(err error) ExitStatus {
	var usage *UsageError
	var remedied interface {
		error
		Remedy() string
	}
	var status ExitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return status
	case errors.As(err, &usage):
		u.Error(err, cmp.Or(oserror.Remedy(err), usage.Hint, u.Usage))
		return ExitUsage
	case errors.As(err, &remedied):
		u.Error(err, remedied.Remedy())
	default:
		u.Error(err, oserror.Remedy(err))
	}
	return ExitFailed
}

// Error prints an error and a hint, if there is one.
func (u UI) Error(err error, hint string) {
	u.line("error: " + oserror.Text(err))
	if hint != "" {
		u.line("hint: " + hint)
	}
}

// Warning prints what is probably a mistake, and what can be done about it.
func (u UI) Warning(warning error, hint string) {
	u.line("warning: " + warning.Error())
	if hint != "" {
		u.line("hint: " + hint)
	}
}

// Note prints to standard error what is neither an error nor a result.
func (u UI) Note(text string) { u.line(text) }

// line prints text to standard error. Its lines become one, with "; " between them: an error's
// text can be a stranger's, who must not write a line that looks like a hint.
func (u UI) line(text string) {
	text = strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
	fmt.Fprintf(u.Err, "%s: %s\n", u.Command, safetext.Printable(text))
}

// A UsageError is a wrong command line, or an unusable file named on it. Without a Hint
// it gets [UI.Usage]; an error of the system about a file has its own hint.
type UsageError struct {
	Err  error
	Hint string
}

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// A HintedError is an error with a remedy.
type HintedError struct {
	Err  error
	Hint string
}

func (e *HintedError) Error() string  { return e.Err.Error() }
func (e *HintedError) Unwrap() error  { return e.Err }
func (e *HintedError) Remedy() string { return e.Hint }

// JSON prints one object on a line of its own, as [safetext.JSON] returns it.
func (u UI) JSON(object any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(object); err != nil {
		return err
	}
	_, err := u.Out.Write(safetext.JSON(text.Bytes()))
	return err
}

const (
	Columns = 80 // the width of a screen
	Margin  = 13 // columns for the label of a [UI.Paragraph]
)

// Paragraph prints text beside a label, wrapped at 80 columns. A longer word stays whole.
func (u UI) Paragraph(label, text string) {
	line := fmt.Sprintf("%-*s", Margin-1, safetext.Printable(label))
	used := len([]rune(line))
	for word := range strings.FieldsSeq(text) {
		word = safetext.Printable(word)
		letters := len([]rune(word))
		if used > Margin && used+1+letters > Columns {
			fmt.Fprintln(u.Out, line)
			line, used = strings.Repeat(" ", Margin-1), Margin-1
		}
		line += " " + word
		used += 1 + letters
	}
	fmt.Fprintln(u.Out, line)
}

// Version returns one line: the command, its version, the commit it was built from, the
// Go version and the system.
func (u UI) Version() string { return u.Command + " " + buildinfo.Read().String() }
