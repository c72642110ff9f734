package probe

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Text from servers is shortened between characters, and has no control characters.
func TestTextFromServersIsShortAndPrintable(t *testing.T) {
	for _, text := range []string{
		"a" + strings.Repeat("é", 1000), strings.Repeat("\u202e", 1000), strings.Repeat("\x1b[2J", 1000), strings.Repeat("\xff", 1000), "\u009b2J",
	} {
		for name, shown := range map[string]string{"quoted": quoted(text), "errorText": errorText(errors.New(text))} {
			if most := 10*maxQuoted + len(`""…`); len(shown) > most || !utf8.ValidString(shown) {
				t.Errorf("%s: %d bytes of %.20q, want %d at most of whole letters: %q", name, len(shown), text, most, shown)
			}
			if strings.ContainsFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%s: %.20q is not printable: %q", name, text, shown)
			}
		}
	}
}
