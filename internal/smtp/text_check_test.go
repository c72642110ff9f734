package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

var texts = []struct {
	name, text string
	bounds     TextLimits
	want       error
}{
	{"empty", "", TextLimits{}, nil},
	{"lines", "a: b\r\n\r\nc\r\n", TextLimits{}, nil},
	{"no line end at the end, as BDAT allows", "a\r\nb", TextLimits{}, nil},
	{"bare LF", "a\nb\r\n", TextLimits{}, ErrBareLF},
	{"bare LF first", "\n", TextLimits{}, ErrBareLF},
	{"LF after CRLF", "a\r\n\n", TextLimits{}, ErrBareLF},
	{"bare CR", "a\rb\r\n", TextLimits{}, ErrBareCR},
	{"CR CR LF", "a\r\r\n", TextLimits{}, ErrBareCR},
	{"a CR and an LF that do not meet", "a\rb\nc\r\n", TextLimits{}, ErrBareCR},
	{"CR at the end", "a\r", TextLimits{}, ErrBareCR},
	{"NUL", "a\r\n\x00.\r\n", TextLimits{}, ErrNUL},
	{"size kept", "12345678\r\n", TextLimits{Size: 10}, nil},
	{"size passed", "123456789\r\n", TextLimits{Size: 10}, ErrTooLarge},
	{"line kept", "1234567890\r\n1234567890\r\n", TextLimits{Line: 10}, nil},
	{"line passed", "12345678901\r\n", TextLimits{Line: 10}, ErrLineTooLong},
	{"the smallest limits kept", "a\r\n", TextLimits{Size: 3, Line: 1, Hops: 1}, nil},
	{"line of one passed", "ab\r\n", TextLimits{Line: 1}, ErrLineTooLong},
	{"size of one passed", "\r\n", TextLimits{Size: 1}, ErrTooLarge},
	{"one hop passed", "Received: a\r\nReceived: b\r\n\r\n", TextLimits{Hops: 1}, ErrLoop},
	{"hops kept", "Received: a\r\n\tb\r\nreceived: b\r\n\r\nReceived: in the body\r\n", TextLimits{Hops: 2}, nil},
	{"hops passed", "RECEIVED: a\r\nSubject: x\r\nReceived:b\r\nReceived: c\r\n\r\n", TextLimits{Hops: 2}, ErrLoop},
	{"a name that only begins so", "Received-SPF: a\r\nReceive: b\r\n\r\n", TextLimits{Hops: 1}, nil},
}

func TestTextCheckerRejectsBrokenText(t *testing.T) {
	for _, test := range texts {
		for name, split := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r },
			"bytes": iotest.OneByteReader,
			"last":  iotest.DataErrReader,
		} {
			text := NewTextChecker(split(strings.NewReader(test.text)), test.bounds)
			if test.want != ErrLoop {
				checkInBody(t, test.name+", "+name, split(strings.NewReader("\r\n"+test.text)), test.bounds, test.want)
			}
			got, err := io.ReadAll(text)
			if !errors.Is(err, test.want) {
				t.Errorf("%s, %s: %v, want %v", test.name, name, err, test.want)
			}
			if !strings.HasPrefix(test.text, string(got)) || test.want == nil && string(got) != test.text {
				t.Errorf("%s, %s: gave out %q", test.name, name, got)
			}
			if text.Size() != int64(len(got)) {
				t.Errorf("%s, %s: %d bytes counted, %d given out", test.name, name, text.Size(), len(got))
			}
			if n, err := text.Read(make([]byte, 1)); n != 0 || err != text.Err() || err == nil {
				t.Errorf("%s, %s: read on: %d, %v", test.name, name, n, err)
			}
		}
	}
}

// checkInBody checks the same text after the header, where another way of checking is tried.
func checkInBody(t *testing.T, name string, text io.Reader, bounds TextLimits, want error) {
	t.Helper()
	if bounds.Size > 0 {
		bounds.Size += 2
	}
	checker := NewTextChecker(text, bounds)
	if _, err := io.ReadAll(io.MultiReader(io.LimitReader(checker, 2), checker)); !errors.Is(err, want) {
		t.Errorf("%s, in the body: %v, want %v", name, err, want)
	}
}

// FuzzTextRules compares the checker with the rules as they are written down, for a body that
// arrives in pieces, by BDAT or, as the lines that begin with a dot allow it, by DATA.
func FuzzTextRules(f *testing.F) {
	for _, test := range texts {
		f.Add([]byte(test.text), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, n int) {
		const longest = 50
		good := bytes.IndexByte(body, 0) < 0
		for line := range bytes.SplitSeq(body, []byte("\r\n")) {
			good = good && !bytes.ContainsAny(line, "\r\n") && len(line) <= longest
		}
		n = 1 + n&63
		chunks := &inPieces{"\r\n" + string(body), n}
		if _, err := io.ReadAll(NewTextChecker(chunks, TextLimits{Line: longest})); (err == nil) != good {
			t.Fatalf("%q in pieces of %d: %v", body, n, err)
		}
		if !bytes.HasSuffix(body, []byte("\r\n")) {
			return
		}
		wire := stuff("\r\n"+string(body), n).all()
		dots := NewDotReader(bufio.NewReaderSize(&inPieces{wire, n}, 16))
		text, err := io.ReadAll(NewTextChecker(dots, TextLimits{Line: longest}))
		if (err == nil) != good || good && string(text) != "\r\n"+string(body) {
			t.Fatalf("%q by DATA in pieces of %d: %q, %v", body, n, text, err)
		}
	})
}

// An accepted message has nothing that another server could take for its end,
// whatever the sender wrote and however it arrived.
func FuzzTextChecker(f *testing.F) {
	for _, test := range texts {
		f.Add([]byte(test.text+".\r\n"), 3)
	}
	f.Add([]byte("a\r\n.\n\r\n.\r\n"), 16)
	f.Fuzz(func(t *testing.T, wire []byte, size int) {
		in := bufio.NewReaderSize(bytes.NewReader(wire), 16+size&63)
		text := NewTextChecker(NewDotReader(in), TextLimits{Size: 1 << 16, Line: 100})
		got, err := io.ReadAll(text)
		clean := bytes.ReplaceAll(got, []byte("\r\n"), nil)
		if err == nil && bytes.ContainsAny(clean, "\r\n") {
			t.Fatalf("%q: bare CR or LF given out: %q", wire, got)
		}
		if err == nil && !bytes.Contains(append([]byte("\r\n"), wire...), []byte("\r\n.\r\n")) {
			t.Fatalf("%q: ended without an end", wire)
		}
		if again, err2 := text.Read(make([]byte, 1)); again != 0 || err2 != text.Err() {
			t.Fatalf("%q: read on after %v", wire, err)
		}
	})
}

// In a block of the body with as many CRs as LFs, they must still meet.
func TestCRAndLFThatDoNotMeetAreRefused(t *testing.T) {
	begin := "\r\n" + strings.Repeat("x", 12) + "\r\n" // fills the reader's buffer
	for _, block := range []string{"a\rb\nc\r\n.\r\n", "a\nb\rc\r\n.\r\n", "\n\r\r\n.\r\n"} {
		in := bufio.NewReaderSize(strings.NewReader(begin+block), 16)
		text, err := io.ReadAll(NewTextChecker(NewDotReader(in), TextLimits{}))
		if err != ErrBareCR && err != ErrBareLF || string(text) != begin {
			t.Errorf("%q: %q, %v", block, text, err)
		}
		if _, err := io.ReadAll(NewTextChecker(&inPieces{begin + block, 16}, TextLimits{})); err != ErrBareCR && err != ErrBareLF {
			t.Errorf("%q by BDAT: %v", block, err)
		}
	}
}
