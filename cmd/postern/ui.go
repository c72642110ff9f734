package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"postern/internal/config"
	"postern/internal/terminal"
)

// fail prints an error and returns the exit status for it. A configuration may have
// several problems, each with a remedy.
func fail(ui terminal.UI, err error) terminal.ExitStatus {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return ui.Fail(err)
	}
	printProblems(ui, problems, ui.Error)
	return terminal.ExitUsage
}

// maxProblems is how many problems are printed: one mistake can be in each of thousands of
// lines.
const maxProblems = 20

// printProblems prints the first of many problems, and how many more there are.
func printProblems(ui terminal.UI, problems config.Problems, print func(error, string)) {
	for _, p := range problems[:min(len(problems), maxProblems)] {
		print(p, p.Remedy)
	}
	if more := len(problems) - maxProblems; more > 0 {
		ui.Note(fmt.Sprintf("and %d more", more))
	}
}

// quiet is how long a pipe may send nothing before a command says that it waits for it.
const quiet = 2 * time.Second

// waiting says, after a while, that the command waits for a file that is a pipe or, by the name
// -, standard input. It ends with received, which can be called again.
func waiting(ui terminal.UI, file string) (received func()) {
	name := file
	if file == "-" {
		name = "standard input"
	} else if info, err := os.Stat(file); err != nil || info.Mode()&(fs.ModeNamedPipe|fs.ModeCharDevice) == 0 {
		return func() {}
	}
	timer := time.AfterFunc(quiet, func() { ui.Note("waiting for " + name + ", which has sent nothing so far") })
	return func() { timer.Stop() }
}

// cannotWrite adds a hint to an error of writing in the data folder. An error that
// has a remedy is returned as it is.
func cannotWrite(c *config.Config, err error) error {
	if remedied := interface{ Remedy() string }(nil); errors.As(err, &remedied) {
		return err
	}
	return &terminal.HintedError{Err: err, Hint: config.WriteRemedy(err, c.Data)}
}

// localTime is t with its zone, so that it can be compared with other logs.
func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

// plural is a number with its noun, as in "2 warnings".
func plural[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
