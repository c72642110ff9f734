package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"

	"postern/internal/config"
)

// The rules of the terminal:
//
// What was asked for goes to standard output. Errors, hints, notes and the log go
// to standard error. Nothing but this file writes errors.
//
// An error is a line "postern: error: what, where" without a full stop, and has
// a line "postern: hint: remedy" below it wherever we know one. One that helps
// nobody is a bug.

// A terminal is where the command writes.
type terminal struct{ out, err io.Writer }

// The exit statuses, see the package comment.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitUnclear = 3
)

// fail tells an error and returns the exit status for it: 0 for nil.
func (t terminal) fail(err error) int {
	var problems config.Problems
	var usage *usageError
	var remedied interface {
		error
		Remedy() string
	}
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &problems):
		for _, p := range problems {
			t.error(p, p.Remedy)
		}
		return exitUsage
	case errors.As(err, &usage):
		t.error(err, cmp.Or(usage.hint, "postern --help tells the commands, postern COMMAND --help the rest"))
		return exitUsage
	case errors.As(err, &remedied):
		t.error(err, remedied.Remedy())
	default:
		t.error(err, "")
	}
	return exitFailed
}

func (t terminal) error(err error, hint string) {
	fmt.Fprintf(t.err, "postern: error: %v\n", err)
	if hint != "" {
		fmt.Fprintf(t.err, "postern: hint: %s\n", hint)
	}
}

// note tells what is no error and was not asked for.
func (t terminal) note(text string) { fmt.Fprintf(t.err, "postern: %s\n", text) }

// An exitStatus says all in itself: what there is to tell has been printed.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// A usageError is a wrong command line, or a file that it names and that is of no
// use. It has a general hint where it has none of its own.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }

// A hintedError is one with a remedy.
type hintedError struct {
	err  error
	hint string
}

func (e *hintedError) Error() string  { return e.err.Error() }
func (e *hintedError) Unwrap() error  { return e.err }
func (e *hintedError) Remedy() string { return e.hint }

// cannotWrite adds a hint to an error of writing in the data folder. An error that
// has a remedy is returned as it is.
func cannotWrite(c *config.Config, err error) error {
	if remedied := interface{ Remedy() string }(nil); errors.As(err, &remedied) {
		return err
	}
	return &hintedError{err, fmt.Sprintf("let the user that postern runs as write in %s, or set another folder with --data", c.Data)}
}
