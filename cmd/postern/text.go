package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// localTime is t with its zone: an administrator compares it with other logs.
func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }

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
