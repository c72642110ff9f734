// Package safetext makes text from strangers safe to show: on a terminal, in a
// log, in an SMTP reply.
//
// An EHLO name, a server's reply, a certificate's host name or a report's
// contact is chosen by somebody else, and it is read by an administrator who
// decides on it. Such text can
//
//   - carry escape sequences, which move a terminal's cursor, change its title
//     or overwrite earlier lines (CWE-150: improper neutralization of escape
//     sequences);
//   - break a line and so forge a log entry or a line of a protocol (CWE-117,
//     CWE-93);
//   - show letters in another order than they are stored, or hide some, by
//     bidirectional controls and zero-width characters (Trojan Source,
//     CVE-2021-42574);
//   - be bytes that are not UTF-8, or far longer than a line.
//
// Every function returns valid UTF-8. Those for people keep what
// [unicode.IsPrint] calls printable, which excludes all control and format
// characters (Unicode categories Cc and Cf) and all spaces but U+0020. They do
// not detect letters that look alike in different scripts.
//
// The standard library's %q and [strconv.Quote] are safe in the same sense.
//
// # Which function
//
//   - [Printable] and [Shorten] for screens;
//   - [Quote] and [Name] for text that is quoted in a sentence;
//   - [Reply] for SMTP replies;
//   - [Truncate] for what is stored, or escaped later, as slog does.
package safetext

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s with U+FFFD in place of each character that is not
// printable and of each byte that is not UTF-8.
func Printable(s string) string { return replace(s, utf8.RuneError) }

func replace(s string, with rune) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) { // U+FFFD is, so bytes that are not UTF-8 become that
			return r
		}
		return with
	}, s)
}

// Shorten returns s as [Printable] does, in at most width characters. If s is
// longer, the last of them is "…". It reads no further than it needs to.
func Shorten(s string, width int) string {
	if start, cut := prefix(s, width); cut {
		start, _ = prefix(start, width-1)
		return Printable(start) + "…"
	}
	return Printable(s)
}

// Quote returns s as a Go string literal of at most most characters before
// escaping. If s is longer, "…" follows the closing quote.
func Quote(s string, most int) string {
	start, cut := prefix(s, most)
	if cut {
		return strconv.Quote(start) + "…"
	}
	return strconv.Quote(s)
}

// Name returns s as it is if it is at most most bytes of visible ASCII without
// quotation marks, as names of hosts are, and as [Quote] does otherwise.
func Name(s string, most int) string {
	if s == "" || len(s) > most || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' }) {
		return Quote(s, most)
	}
	return s
}

// Reply returns s for the text of an SMTP reply: a space in place of each
// character that is not printable, and "..." after the first limit bytes if s is
// longer. ASCII stays ASCII, since a client without SMTPUTF8 gets nothing else
// (RFC 6531, Section 3.7.4.1).
func Reply(s string, limit int) string {
	s = replace(s, ' ')
	if len(s) > limit {
		return Truncate(s, limit) + "..."
	}
	return s
}

// Truncate returns at most the first limit bytes of s, with "?" in place of what
// is not UTF-8. It cuts between characters. Control characters stay: whoever
// shows the text escapes them.
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

// IsASCII reports whether s has no byte beyond ASCII.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
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
