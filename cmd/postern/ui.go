package main

import (
	"errors"
	"fmt"

	"postern/internal/config"
	"postern/internal/terminal"
)

// fail prints an error and returns the exit status for it. A configuration may have
// several problems, each with a remedy.
func fail(ui terminal.UI, err error) int {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return ui.Fail(err)
	}
	for _, p := range problems {
		ui.Error(p, p.Remedy)
	}
	return terminal.ExitUsage
}

// cannotWrite adds a hint to an error of writing in the data folder. An error that
// has a remedy is returned as it is.
func cannotWrite(c *config.Config, err error) error {
	if remedied := interface{ Remedy() string }(nil); errors.As(err, &remedied) {
		return err
	}
	return &terminal.HintedError{Err: err, Hint: fmt.Sprintf("let the user that postern runs as write in %s, or set another folder with --data", c.Data)}
}
