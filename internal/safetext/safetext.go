// Package safetext makes untrusted text safe to show: on a terminal, in a log, in an SMTP
// reply.
//
// An EHLO name, a server's reply, a name in a certificate or the contact of a report is
// written by someone else and read by an administrator. Such text can
//
//   - contain escape sequences, which move a terminal's cursor, overwrite lines or change
//     the title (CWE-150: improper neutralization of escape sequences);
//   - contain line breaks, and so forge an entry of a log or a line of a protocol (CWE-117,
//     CWE-93);
//   - show letters in another order than they are stored, or hide some, by bidirectional
//     controls and zero-width characters (Trojan Source, CVE-2021-42574);
//   - be invalid UTF-8, or very long.
//
// All functions return valid UTF-8. Except for Truncate they keep printable characters only,
// as defined by [unicode.IsPrint]: no control and format characters (Unicode categories Cc
// and Cf), and no space but U+0020. They do not detect letters of different scripts that look
// alike. The verb %q and [strconv.Quote] are safe in the same sense.
//
// Which function to use:
//
//   - [Printable] and [Shorten] for screens and logs
//   - [Quote] and [Name] for text in a sentence
//   - [Reply] for SMTP replies
//   - [JSON] for JSON on a screen or in a log
//   - [Truncate] for text that is stored, or escaped later
package safetext

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Printable returns s with U+FFFD in place of each character that is not
// printable and of each byte that is not UTF-8.
func Printable(s string) string { return replace(s, utf8.RuneError) }

func replace(s string, with rune) string {
	if IsPrintableASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) { // U+FFFD is, so bytes that are not UTF-8 become that
			return r
		}
		return with
	}, s)
}

// Shorten returns s as [Printable] does, cut to width characters. If s is longer, the last
// of them is "…".
func Shorten(s string, width int) string {
	if start, cut := prefix(s, width); cut {
		start, _ = prefix(start, width-1)
		return Printable(start) + "…"
	}
	return Printable(s)
}

// Quote returns s as a Go string literal. If s has more than most characters, it returns the
// start and the end as two literals with "…" between them: the end of an error is its cause,
// and the end of a host name says whose it is.
func Quote(s string, most int) string {
	if _, cut := prefix(s, most); !cut {
		return strconv.Quote(s)
	}
	start, _ := prefix(s, most-most/2)
	return strconv.Quote(start) + "…" + strconv.Quote(suffix(s[len(start):], most/2))
}

// Name returns s unchanged if it is visible ASCII without quotation marks, as host names are,
// and at most most bytes long. Otherwise it returns s as [Quote] does.
func Name(s string, most int) string {
	if s == "" || len(s) > most || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
		return Quote(s, most)
	}
	return s
}

// Reply returns s for the text of an SMTP reply, with a space in place of each character
// that is not printable. If s is longer than limit bytes, it is cut, and "..." added. It is cut
// between words: the start of a mail address would no longer be recognised as one, where
// addresses are removed later. ASCII stays ASCII, which clients without SMTPUTF8 need (RFC 6531,
// Section 3.7.4.1).
func Reply(s string, limit int) string {
	s = replace(s, ' ')
	if len(s) > limit {
		return wholeWords(Truncate(s, limit), s) + "..."
	}
	return s
}

// wholeWords returns the start of s without the word in which it ends, unless that is its first.
// Text in quotation marks is one word, as in a quoted local part.
func wholeWords(start, s string) string {
	if space := strings.LastIndexByte(start, ' '); space > 0 && s[len(start)] != ' ' {
		start = start[:space]
	}
	if strings.Count(start, `"`)%2 == 1 {
		start = start[:strings.LastIndexByte(start, '"')]
	}
	return strings.TrimRight(start, " ")
}

// JSON returns JSON text with the characters in its strings that are not printable escaped, so
// it means the same. Packages json and slog escape those below U+0020, but neither the other
// control characters nor the bidirectional ones. It keeps line feeds, which JSON text has
// between values.
func JSON(text []byte) []byte {
	unsafe := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
	if !bytes.ContainsFunc(text, unsafe) {
		return text
	}
	safe := make([]byte, 0, len(text)+64)
	for _, r := range string(text) {
		switch {
		case !unsafe(r):
			safe = utf8.AppendRune(safe, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			safe = fmt.Appendf(safe, `\u%04x\u%04x`, high, low)
		default:
			safe = fmt.Appendf(safe, `\u%04x`, r)
		}
	}
	return safe
}

// Truncate returns at most the first limit bytes of s, cut between characters, with "?" in
// place of bytes that are not UTF-8. It keeps control characters, so the result must be
// escaped before it is shown.
func Truncate(s string, limit int) string {
	if len(s) > limit {
		end := limit
		for end > 0 && end > limit-utf8.UTFMax && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	return strings.ToValidUTF8(s, "?")
}

// IsASCII reports whether all bytes of s are ASCII.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// IsPrintableASCII reports whether all bytes of s are printable ASCII: from the space to "~".
func IsPrintableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// prefix returns the first n characters of s, and whether s has more.
func prefix(s string, n int) (start string, cut bool) {
	for i := range s {
		if n == 0 {
			return s[:i], true
		}
		n--
	}
	return s, false
}

// suffix returns the last n characters of s.
func suffix(s string, n int) string {
	end := len(s)
	for ; n > 0 && end > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(s[:end])
		end -= size
	}
	return s[end:]
}
