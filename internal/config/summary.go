package config

import (
	"fmt"
	"strings"
)

// shown is how many of many names a summary has.
const shown = 5

// First returns the first of many names, and how many more there are, 0 if these are all.
func First[T any](names []T) (first []T, more int) {
	first = names[:min(len(names), shown)]
	return first, len(names) - len(first)
}

// Summary returns the first of many names, and how many more there are, as text.
func Summary(names []string) string {
	first, more := First(names)
	text := strings.Join(first, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
