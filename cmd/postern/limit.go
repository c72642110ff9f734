package main

import (
	"fmt"
	"strconv"

	"postern/internal/terminal"
)

// maxRows is the most rows that the ledger returns.
const maxRows = 10_000

// A limit is the number of rows that a list may have.
type limit int

// UnmarshalText is called by kong.
func (l *limit) UnmarshalText(text []byte) error {
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > maxRows {
		return fmt.Errorf("%q is not a number from 1 to %d; choose by time, with --since", text, maxRows)
	}
	*l = limit(n)
	return nil
}

// query is the number of rows to ask the ledger for: one more, to see whether there are more.
func (l limit) query() int { return min(int(l)+1, maxRows) }

// cut returns the rows that l allows, and notes that there are more.
func cut[T any](ui terminal.UI, rows []T, l limit) []T {
	switch {
	case len(rows) > int(l):
		ui.Note(fmt.Sprintf("these are the first %d; --limit allows more", l))
		return rows[:l]
	case len(rows) == maxRows:
		ui.Note(fmt.Sprintf("these are the first %d, the most that a list has; --since chooses by time", maxRows))
	}
	return rows
}
