package safetext_test

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"postern/internal/safetext"
)

// attacks are texts that must not reach a screen or a line as they are, with
// what Printable makes of them.
var attacks = []struct{ name, text, printable string }{
	{"clear the screen", "mx\x1b[2J", "mx\ufffd[2J"},
	{"set the terminal's title", "\x1b]0;root\x07", "\ufffd]0;root\ufffd"},
	{"C1 control sequence introducer", "a\u009b2J", "a\ufffd2J"},
	{"the same as a bare byte", "a\x9b2J", "a\ufffd2J"},
	{"forged log line", "x\r\nlevel=ERROR", "x\ufffd\ufffdlevel=ERROR"},
	{"line separator", "x\u2028y", "x\ufffdy"},
	{"overwrite by backspace", "bad\b\b\bok", "bad\ufffd\ufffd\ufffdok"},
	{"NUL", "a\x00b", "a\ufffdb"},
	{"DEL", "a\x7fb", "a\ufffdb"},
	{"right-to-left override", "exe\u202ecod", "exe\ufffdcod"},
	{"isolates", "\u2067a\u2069", "\ufffda\ufffd"},
	{"Arabic letter mark", "a\u061cb", "a\ufffdb"},
	{"zero-width space", "exam\u200bple.org", "exam\ufffdple.org"},
	{"zero-width joiner", "exam\u200dple.org", "exam\ufffdple.org"},
	{"byte order mark", "\ufeffexample.org", "\ufffdexample.org"},
	{"soft hyphen", "exam\u00adple.org", "exam\ufffdple.org"},
	{"tag characters", "a\U000e0041b", "a\ufffdb"},
	{"space that is not U+0020", "a\u00a0b", "a\ufffdb"},
	{"private use", "a\ue000b", "a\ufffdb"},
	{"not UTF-8", "a\xffb", "a\ufffdb"},
	{"surrogate", "a\xed\xa0\x80b", "a\ufffd\ufffd\ufffdb"},
	{"overlong slash", "\xc0\xaf", "\ufffd\ufffd"},
}

func TestPrintableReplacesWhatATerminalMayObeyOrHide(t *testing.T) {
	for _, tt := range attacks {
		t.Run(tt.name, func(t *testing.T) {
			if got := safetext.Printable(tt.text); got != tt.printable {
				t.Errorf("Printable(%+q) = %+q, want %+q", tt.text, got, tt.printable)
			}
		})
	}
	if s := `mx.exämple.org "ok" 例え 🙂`; safetext.Printable(s) != s {
		t.Errorf("Printable changes %q", s)
	}
}

func TestEveryFunctionDisarmsAttacks(t *testing.T) {
	for _, tt := range attacks {
		for name, got := range map[string]string{
			"Shorten": safetext.Shorten(tt.text, 100), "Quote": safetext.Quote(tt.text, 100),
			"Name": safetext.Name(tt.text, 100), "Reply": safetext.Reply(tt.text, 100),
		} {
			if !printable(got) {
				t.Errorf("%s: %s(%+q) = %+q", tt.name, name, tt.text, got)
			}
		}
	}
}

func TestJSONKeepsItsMeaning(t *testing.T) {
	for _, tt := range attacks {
		text, err := json.Marshal(map[string]string{"text": tt.text})
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]string
		safe := safetext.JSON(append(text, '\n'))
		if err := errors.Join(json.Unmarshal(text, &want), json.Unmarshal(safe, &got)); err != nil || got["text"] != want["text"] {
			t.Errorf("%s: %q means %q, want %q, %v", tt.name, safe, got, want, err)
		}
		if line, ok := strings.CutSuffix(string(safe), "\n"); !ok || !printable(line) {
			t.Errorf("%s: %+q", tt.name, safe)
		}
	}
	if s := `{"a":"é 例え 🙂\n"}`; string(safetext.JSON([]byte(s))) != s {
		t.Errorf("JSON changes %q", s)
	}
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct {
		s     string
		width int
		want  string
	}{
		{"", 3, ""},
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"äöüß", 3, "äö…"},
		{"äöü", 3, "äöü"},
		{"a\x1bcd", 3, "a\ufffd…"},
		{"\xff\xfe\xfd", 3, "\ufffd\ufffd\ufffd"},
		{"ab", 1, "…"},
	} {
		if got := safetext.Shorten(tt.s, tt.width); got != tt.want {
			t.Errorf("Shorten(%q, %d) = %q, want %q", tt.s, tt.width, got, tt.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, tt := range []struct{ s, quoted, name string }{
		{"", `""`, `""`},
		{"mx.test", `"mx.test"`, "mx.test"},
		{"mx.test.", `"mx.test."`, "mx.test."},
		{"mx1.big.example", `"mx1."…"mple"`, `"mx1."…"mple"`},
		{"öffnen: abgelaufen", `"öffn"…"ufen"`, `"öffn"…"ufen"`},
		{"a b", `"a b"`, `"a b"`},
		{`a"b`, `"a\"b"`, `"a\"b"`},
		{"é", `"é"`, `"é"`},
		{"a\x1b[1m", `"a\x1b[1m"`, `"a\x1b[1m"`},
		{"a\u202eb", `"a\u202eb"`, `"a\u202eb"`},
		{"a\xffb", `"a\xffb"`, `"a\xffb"`},
	} {
		if got := safetext.Quote(tt.s, 8); got != tt.quoted {
			t.Errorf("Quote(%q, 8) = %s, want %s", tt.s, got, tt.quoted)
		}
		if got := safetext.Name(tt.s, 8); got != tt.name {
			t.Errorf("Name(%q, 8) = %s, want %s", tt.s, got, tt.name)
		}
	}
}

func TestReplyStaysOneLineAndASCIIStaysASCII(t *testing.T) {
	for _, tt := range []struct {
		s     string
		limit int
		want  string
	}{
		{"mailbox full", 20, "mailbox full"},
		{"mailbox full", 7, "mailbox..."},
		{"mailbox full", 9, "mailbox..."},
		{"550 no ann@example.org here", 10, "550 no..."},
		{"550 no <ann.other@example.org> here", 20, "550 no..."},
		{`550 no "ann other"@example.org here`, 14, "550 no..."},
		{`550 no "ann other"@example.org here`, 20, "550 no..."},
		{`550 "no" user "ann other"@example.org here`, 19, `550 "no" user...`},
		{"550 a\x00b\x1b[31m\x7f\tc", 40, "550 a b [31m  c"},
		{"ok\r\n250 forged", 40, "ok  250 forged"},
		{"a\u009bb\u2028c\u202ed", 40, "a b c d"},
		{"a\xffb", 40, "a\ufffdb"},
		{"üüü", 3, "ü..."},
	} {
		if got := safetext.Reply(tt.s, tt.limit); got != tt.want {
			t.Errorf("Reply(%q, %d) = %q, want %q", tt.s, tt.limit, got, tt.want)
		}
	}
}

func TestTruncateCutsBetweenCharacters(t *testing.T) {
	for _, tt := range []struct {
		s     string
		limit int
		want  string
	}{
		{"abc", 3, "abc"},
		{"abc", 2, "ab"},
		{"abc", 0, ""},
		{"aü", 2, "a"},
		{"aü", 3, "aü"},
		{"例", 2, ""},
		{"🙂", 3, ""},
		{"a\xffb", 3, "a?b"},
		{"a\r\nb", 9, "a\r\nb"},
		{strings.Repeat("\x80", 20), 10, "?"},
	} {
		if got := safetext.Truncate(tt.s, tt.limit); got != tt.want {
			t.Errorf("Truncate(%q, %d) = %q, want %q", tt.s, tt.limit, got, tt.want)
		}
	}
}

func TestIsASCII(t *testing.T) {
	for s, want := range map[string]bool{"": true, "a\x00\x7f": true, "é": false, "\x80": false} {
		if got := safetext.IsASCII(s); got != want {
			t.Errorf("IsASCII(%q) = %v", s, got)
		}
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// checkQuote checks that a quoted text is the whole of s, or its start and its end.
func checkQuote(t *testing.T, s, got string, bound int) {
	t.Helper()
	if raw, err := strconv.Unquote(got); err == nil {
		if raw != s {
			t.Errorf("Quote: %+q gives %+q back", got, raw)
		}
		return
	}
	start, err := strconv.QuotedPrefix(got)
	if err != nil {
		t.Fatalf("Quote: %+q: %v", got, err)
	}
	end, cut := strings.CutPrefix(got[len(start):], "…")
	head, headErr := strconv.Unquote(start)
	tail, tailErr := strconv.Unquote(end)
	if !cut || headErr != nil || tailErr != nil || !strings.HasPrefix(s, head) || !strings.HasSuffix(s[len(head):], tail) || len(head)+len(tail) >= len(s) {
		t.Errorf("Quote: %+q is not the start and the end of %+q", got, s)
	}
	if n := utf8.RuneCountInString(head) + utf8.RuneCountInString(tail); n > bound {
		t.Errorf("Quote: %+q has %d characters of at most %d", got, n, bound)
	}
}

// FuzzSafe checks every promise of the package for any text and bound.
func FuzzSafe(f *testing.F) {
	for _, tt := range attacks {
		f.Add(tt.text, 3)
	}
	f.Add("mx.example.org", 80)
	f.Fuzz(func(t *testing.T, s string, bound int) {
		bound = bound&0xff + 1
		if got := safetext.Printable(s); !printable(got) || printable(s) && got != s {
			t.Errorf("Printable: %+q", got)
		}
		if got := safetext.Shorten(s, bound); !printable(got) || utf8.RuneCountInString(got) > bound {
			t.Errorf("Shorten: %+q", got)
		}
		got := safetext.Quote(s, bound)
		checkQuote(t, s, got, bound)
		if name := safetext.Name(s, bound); !printable(got) || name != got && (name != s || len(name) > bound || !safetext.IsASCII(s)) {
			t.Errorf("Name: %+q", name)
		}
		if got := safetext.Reply(s, bound); !printable(got) || len(got) > bound+len("...") || safetext.IsASCII(s) && !safetext.IsASCII(got) {
			t.Errorf("Reply: %+q", got)
		}
		if got := safetext.Truncate(s, bound); !utf8.ValidString(got) || len(got) > bound || utf8.ValidString(s) && !strings.HasPrefix(s, got) {
			t.Errorf("Truncate: %+q", got)
		}
	})
}
