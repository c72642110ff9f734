package clientsim

import "postern/internal/probe"

// A Mark is what stands in a table for a cell.
type Mark string

// The marks.
const (
	MarkResumes Mark = "res"
	MarkIn      Mark = "in"
	MarkLost    Mark = "bad"
	MarkOut     Mark = "OUT"
	MarkPlain   Mark = "pl"
	MarkRefused Mark = "ref"
	MarkUntold  Mark = "?"
)

// Marks are all of them in the order of a legend, each with what it means.
var Marks = []struct {
	Mark  Mark
	Means string
}{
	{MarkResumes, "gets in, and resumes when it comes again"},
	{MarkIn, "gets in, each time with a full handshake"},
	{MarkLost, "gets in, and not when it comes again with its session"},
	{MarkOut, "does not get in"},
	{MarkPlain, "does not get in over TLS, and comes again in plaintext"},
	{MarkRefused, "is turned away, as it should be"},
	{MarkUntold, "could not be told"},
}

// Means says what a mark means; nothing for what is none.
func (m Mark) Means() string {
	for _, known := range Marks {
		if known.Mark == m {
			return known.Means
		}
	}
	return ""
}

// Mark sums up a cell.
func (c Cell) Mark() Mark {
	switch {
	case c.Fate == probe.Untold:
		return MarkUntold
	case c.Fate == probe.Refused:
		return MarkRefused
	case c.Fate == probe.Out && c.Plaintext:
		return MarkPlain
	case c.Fate == probe.Out:
		return MarkOut
	case c.Return == Resumed:
		return MarkResumes
	case c.Return == Lost:
		return MarkLost
	}
	return MarkIn
}

// Legend returns the marks that stand in m, in the order of Marks.
func (m *Matrix) Legend() (used []Mark) {
	found := make(map[Mark]bool)
	for _, s := range m.Servers {
		for _, c := range s.Cells {
			found[c.Mark()] = true
		}
	}
	for _, known := range Marks {
		if found[known.Mark] {
			used = append(used, known.Mark)
		}
	}
	return used
}

// Column is the head of the i-th server's column, as in a spreadsheet: A to Z, AA and on.
func Column(i int) string {
	head := ""
	for i++; i > 0; i = (i - 1) / 26 {
		head = string(rune('A'+(i-1)%26)) + head
	}
	return head
}
