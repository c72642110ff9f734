package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable is s with what could move a terminal's cursor replaced: strangers
// choose their names.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

// short is s for a column of width characters.
func short(s string, width int) string {
	s = printable(s)
	if letters := []rune(s); len(letters) > width {
		return string(letters[:width-1]) + "…"
	}
	return s
}

// json prints one object in a line of its own.
func (t terminal) json(object any) error {
	encoder := json.NewEncoder(t.out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(object)
}

const (
	margin  = 13 // of what stands behind a label
	columns = 80
)

// paragraph writes text behind a label, within 80 columns where its words let it.
func (t terminal) paragraph(label, text string) {
	line := fmt.Sprintf("%-*s", margin-1, label)
	used := len([]rune(line))
	for word := range strings.FieldsSeq(text) {
		letters := len([]rune(word))
		if used > margin && used+1+letters > columns {
			fmt.Fprintln(t.out, line)
			line, used = strings.Repeat(" ", margin-1), margin-1
		}
		line += " " + word
		used += 1 + letters
	}
	fmt.Fprintln(t.out, line)
}
