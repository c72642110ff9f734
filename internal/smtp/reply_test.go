package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func read(wire string) (Reply, error) {
	return ReadReply(bufio.NewReaderSize(strings.NewReader(wire), 64))
}

var validReplies = []struct{ name, wire, want string }{
	{"one line", "250 2.0.0 ok\r\n", "250 2.0.0 ok\r\n"},
	{"several lines", "250-mx\r\n250-SIZE 10\r\n250 DSN\r\n", "250-mx\r\n250-SIZE 10\r\n250 DSN\r\n"},
	{"no text", "250\r\n", "250 \r\n"},
	{"no text after the space", "250 \r\n", "250 \r\n"},
	{"LF alone ends a line", "250-a\n250 b\n", "250-a\r\n250 b\r\n"},
	{"CR within a line", "250 a\rb\r\n", "250 a b\r\n"},
	{"control characters", "550 a\x00b\x1b[31m\x7f\tc\r\n", "550 a b [31m  c\r\n"},
	{"not UTF-8", "550 a\xffb\r\n", "550 a\ufffdb\r\n"},
	{"longest line", "250 " + strings.Repeat("x", 2042) + "\r\n", "250 " + strings.Repeat("x", 2042) + "\r\n"},
	{"most lines", strings.Repeat("250-x\r\n", 127) + "250 x\r\n", strings.Repeat("250-x\r\n", 127) + "250 x\r\n"},
}

var invalidReplies = []struct{ name, wire string }{
	{"no code", "hello\r\n"},
	{"empty line", "\r\n"},
	{"two digits", "25\r\n"},
	{"four digits", "2500 x\r\n"},
	{"1xx", "150 x\r\n"},
	{"6xx", "650 x\r\n"},
	{"letters in the code", "2x0 x\r\n"},
	{"other separator", "250+x\r\n"},
	{"codes differ", "250-x\r\n251 y\r\n"},
	{"line too long", "250 " + strings.Repeat("x", 2043) + "\r\n"},
	{"endless line", strings.Repeat("2", 2049)},
	{"too many lines", strings.Repeat("250-x\r\n", 128) + "250 x\r\n"},
}

func TestReadReplyAccepts(t *testing.T) {
	for _, tt := range validReplies {
		reply, err := read(tt.wire)
		if got := string(reply.Append(nil)); err != nil || got != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestReadReplyRejects(t *testing.T) {
	for _, tt := range invalidReplies {
		if reply, err := read(tt.wire); !errors.Is(err, ErrReply) {
			t.Errorf("%s: %v, %v; want ErrReply", tt.name, reply, err)
		}
	}
}

func TestReadReplyReportsLostConnection(t *testing.T) {
	for _, wire := range []string{"", "250", "250 half", "250-first\r\n", "250-first\r\n250 ha"} {
		if reply, err := read(wire); err != io.EOF {
			t.Errorf("%q: %v, %v; want io.EOF", wire, reply, err)
		}
	}
}

func TestReadReplyLeavesTheNextReply(t *testing.T) {
	in := bufio.NewReader(strings.NewReader("250-a\r\n250 b\r\n354 c\r\n"))
	for _, want := range []string{"250 a / b", "354 c"} {
		if reply, err := ReadReply(in); err != nil || reply.String() != want {
			t.Errorf("%s, %v; want %s", reply, err, want)
		}
	}
}

func TestReplyClasses(t *testing.T) {
	for code, want := range map[int]string{250: "positive", 354: "intermediate", 451: "transient", 550: "permanent", 0: ""} {
		reply := Reply{Code: code}
		var got string
		for class, is := range map[string]bool{
			"positive": reply.Positive(), "intermediate": reply.Intermediate(),
			"transient": reply.Transient(), "permanent": reply.Permanent(),
		} {
			if is {
				got += class
			}
		}
		if got != want {
			t.Errorf("%d is %q, want %q", code, got, want)
		}
	}
}

func TestReplyEnhanced(t *testing.T) {
	for _, tt := range []struct {
		reply Reply
		want  string
	}{
		{NewReply(250, "2.1.5", "ok"), "2.1.5"},
		{NewReply(550, "5.7.30", "no"), "5.7.30"},
		{Reply{Code: 250, Lines: []string{"2.0.0"}}, "2.0.0"},
		{Reply{Code: 250, Lines: []string{"ok"}}, ""},
		{Reply{Code: 250, Lines: []string{"5.1.1 another class"}}, ""},
		{Reply{Code: 250, Lines: []string{"2.1 too short"}}, ""},
		{Reply{Code: 250, Lines: []string{"2.1.5.9 too long"}}, ""},
		{Reply{Code: 250, Lines: []string{"2.1.x letters"}}, ""},
		{Reply{Code: 250, Lines: []string{"2.1.1234 long"}}, ""},
		{Reply{Code: 250}, ""},
	} {
		if got := tt.reply.Enhanced(); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.reply, got, tt.want)
		}
	}
}

// A server that offers ENHANCEDSTATUSCODES has one in each line (RFC 2034, Section 4), but
// not in 3xx.
func TestReplyIsEnhanced(t *testing.T) {
	for wire, want := range map[string]string{
		"250-ok\r\n250 done\r\n":             "250-2.0.0 ok\r\n250 2.0.0 done\r\n",
		"451 try later\r\n":                  "451 4.0.0 try later\r\n",
		"550-5.1.1 no\r\n550 5.1.1 user\r\n": "550-5.1.1 no\r\n550 5.1.1 user\r\n",
		"200 ok\r\n":                         "200 2.0.0 ok\r\n",
		"500 what?\r\n":                      "500 5.0.0 what?\r\n",
		"354 go on\r\n":                      "354 go on\r\n",
	} {
		reply, err := read(wire)
		if got := string(reply.Enhance().Append(nil)); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", wire, got, err, want)
		}
	}
}

// FuzzReadReply reads hostile bytes: an accepted reply must be safe to pass on, and
// parse again to the same.
func FuzzReadReply(f *testing.F) {
	for _, tt := range validReplies {
		f.Add([]byte(tt.wire))
	}
	for _, tt := range invalidReplies {
		f.Add([]byte(tt.wire))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		reply, err := ReadReply(bufio.NewReaderSize(bytes.NewReader(wire), 64))
		if err != nil {
			if !errors.Is(err, ErrReply) && err != io.EOF {
				t.Fatalf("odd error: %v", err)
			}
			return
		}
		if reply.Code < 200 || reply.Code > 599 || len(reply.Lines) == 0 || len(reply.Lines) > maxReplyLines {
			t.Fatalf("%+v is out of bounds", reply)
		}
		for _, line := range reply.Lines {
			if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Fatalf("line %q is not safe", line)
			}
		}
		again, err := ReadReply(bufio.NewReader(bytes.NewReader(reply.Append(nil))))
		if err == nil && again.String() != reply.String() {
			t.Fatalf("%v became %v", reply, again)
		}
	})
}

// Who said a reply decides who has to be asked about it.
func TestTheOriginOfAReplyIsKept(t *testing.T) {
	reply, err := read("550 no such user\r\n")
	if err != nil || !reply.Remote || !reply.Enhance().Remote {
		t.Errorf("read %+v, %v; want it and its enhanced form remote", reply, err)
	}
	if own := NewReply(550, "5.1.1", "no such recipient"); own.Remote || own.Enhance().Remote {
		t.Error("an own reply is remote")
	}
}

// A reply that is passed on is valid, within RFC 5321's length of a line and what Exim reads,
// and keeps its code. Shorter ones stay as they are.
func TestClip(t *testing.T) {
	repeat := func(line string, n int) []string { return slices.Repeat([]string{line}, n) }
	for name, lines := range map[string][]string{
		"a long line":              {"5.7.1 " + strings.Repeat("blocked ", 250)},
		"a line without spaces":    {"5.7.1 " + strings.Repeat("x", 2000)},
		"no enhanced code":         {strings.Repeat("blocked ", 250)},
		"neither":                  {strings.Repeat("x", 2040)},
		"many lines":               repeat("5.7.1 blocked by a list of addresses", 128),
		"many long lines":          repeat("5.7.1 "+strings.Repeat("blocked ", 250), 128),
		"a code in the first line": {"5.7.1 " + strings.Repeat("x", 600), strings.Repeat("y", 600)},
	} {
		reply := Reply{Code: 550, Lines: lines, Remote: true}
		clipped := reply.Clip()
		wire := clipped.Append(nil)
		for line := range bytes.Lines(wire) {
			if len(line) > 512 {
				t.Errorf("%s: line of %d bytes", name, len(line))
			}
		}
		if len(wire) > 4000 || len(wire) < 480 {
			t.Errorf("%s: %d bytes", name, len(wire))
		}
		if clipped.Enhanced() != reply.Enhanced() || !strings.Contains(clipped.Text(), "...") && !strings.HasSuffix(clipped.Text(), "and more") {
			t.Errorf("%s: %s", name, clipped)
		}
		read, err := ReadReply(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil || !reflect.DeepEqual(read, clipped) {
			t.Errorf("%s: read as %s, %v", name, read, err)
		}
	}
	longest := strings.Repeat("x", 506)
	whole := append(repeat(longest, 7), longest[:410]) // 4,000 bytes
	for _, lines := range [][]string{{"5.7.1 blocked"}, {""}, repeat("5.7.1 blocked", 100), {longest}, whole} {
		if reply := (Reply{Code: 550, Lines: lines}); !reflect.DeepEqual(reply.Clip(), reply) {
			t.Errorf("%.100s was changed", reply)
		}
	}
	// 39 lines of 100 bytes, one of 86, and "550 and more": 4,000 bytes.
	most := append(repeat(strings.Repeat("x", 94), 39), strings.Repeat("x", 80))
	if clipped := (Reply{Code: 550, Lines: append(most, longest)}).Clip(); len(clipped.Append(nil)) != 4000 || len(clipped.Lines) != 41 {
		t.Errorf("of 41 lines %d were kept, in %d bytes; want all but the last, in 4,000", len(clipped.Lines)-1, len(clipped.Append(nil)))
	}
	if clipped := (Reply{Code: 550, Lines: []string{longest, longest + "x"}}).Clip(); clipped.Lines[0] != longest || clipped.Lines[1] == longest {
		t.Errorf("of two lines, the second too long: %s", clipped)
	}
}
