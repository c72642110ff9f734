package mtasts

import (
	"fmt"

	"postern/internal/txtrecord"
)

// firsts leaves the first of each field, as RFC 8461, Section 3.2 wants it, and all of the
// one that may be repeated.
func firsts(fields []txtrecord.Field, repeated string) []txtrecord.Field {
	seen := make(map[string]bool)
	var kept []txtrecord.Field
	for _, f := range fields {
		if !seen[f.Name] {
			kept = append(kept, f)
		}
		seen[f.Name] = f.Name != repeated
	}
	return kept
}

// distinct refuses extensions that would be read back as something else, or not at all.
func distinct(extensions []txtrecord.Field, known ...string) error {
	seen := make(map[string]bool)
	for _, name := range known {
		seen[name] = true
	}
	for _, f := range extensions {
		if seen[f.Name] {
			return fmt.Errorf("%s stands twice: of a field that does, only the first is read", f.Name)
		}
		seen[f.Name] = true
	}
	return nil
}
