package tlsrptexplain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxQuoted is what is shown of a stranger's text, in letters.
const maxQuoted = 80

// quoted shows what a stranger wrote: cut short, and escaped as in a Go string.
func quoted(s string) string {
	if letters := []rune(s[:min(len(s), 4*maxQuoted)]); len(letters) > maxQuoted {
		return fmt.Sprintf("%q…", string(letters[:maxQuoted]))
	}
	return fmt.Sprintf("%q", s)
}

// named is quoted without quotes where nothing in s needs them, as in names of hosts.
func named(s string) string {
	plain := !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII || !unicode.IsPrint(r) || r == ' ' || r == '"' })
	if plain && s != "" && len(s) <= maxQuoted {
		return s
	}
	return quoted(s)
}

// lower begins a sentence as part of another, where its first word is no name.
func lower(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	second, _ := utf8.DecodeRuneInString(s[size:])
	if unicode.IsUpper(second) {
		return s
	}
	return string(unicode.ToLower(first)) + s[size:]
}

// count is a number with its noun, which takes an s or es.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "s") {
		noun += "e"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
