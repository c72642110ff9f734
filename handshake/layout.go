package handshake

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

const (
	columns    = 80
	labelWidth = 10
)

// field sets text beside a label, each of its lines wrapped within the columns.
func field(label, text string) []string {
	var lines []string
	for _, line := range wrap(text, columns-labelWidth) {
		lines = append(lines, fmt.Sprintf("%-*s%s", labelWidth, label, line))
		label = ""
	}
	return lines
}

// wrap breaks text at its line ends, at spaces where a line is too wide, and within a word
// that is wider than a line.
func wrap(text string, width int) []string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		for utf8.RuneCountInString(line) > width {
			runes := []rune(line)
			end := width
			for end > 0 && runes[end] != ' ' {
				end--
			}
			if end == 0 {
				end = width
			}
			lines = append(lines, string(runes[:end]))
			line = strings.TrimLeft(string(runes[end:]), " ")
		}
		lines = append(lines, line)
	}
	return lines
}

// clip shortens s to width and shows that it did.
func clip(s string, width int) string {
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// sentences joins what is not empty, one a line.
func sentences(parts ...string) string {
	var lines []string
	for _, part := range parts {
		if part != "" {
			lines = append(lines, part)
		}
	}
	return strings.Join(lines, "\n")
}

// pad fills s with fill to width on its right, or its left if width is negative.
func pad(s, fill string, width int) string {
	missing := max(width, -width) - utf8.RuneCountInString(s)
	if missing <= 0 {
		return s
	}
	if width < 0 {
		return strings.Repeat(fill, missing) + s
	}
	return s + strings.Repeat(fill, missing)
}
