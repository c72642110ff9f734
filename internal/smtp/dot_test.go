package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/textproto"
	"strings"
	"testing"
)

func TestDotReaderEndsAtCRLFDotCRLFOnly(t *testing.T) {
	for _, test := range []struct{ name, wire, text, rest string }{
		{"empty", ".\r\nQUIT", "", "QUIT"},
		{"one line", "a\r\n.\r\nQUIT", "a\r\n", "QUIT"},
		{"stuffed dots", "..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", ""},
		{"stuffed text, not a dot alone", ".a\r\n.\r\n", "a\r\n", ""},
		{"CR dot CR", "a\r.\rMAIL\r\n.\r\n", "a\r.\rMAIL\r\n", ""},
		{"CRLF dot CR", "a\r\n.\rMAIL\r\n.\r\n", "a\r\n\rMAIL\r\n", ""},
		{"CR CRLF dot CRLF", "a\r\r\n.\r\n", "a\r\r\n", ""},
		{"long lines", strings.Repeat("x", 100) + "\r\n." + strings.Repeat(".", 40) + "\r\n.\r\n",
			strings.Repeat("x", 100) + "\r\n" + strings.Repeat(".", 40) + "\r\n", ""},
	} {
		for _, size := range []int{16, 17, 18, 19, 4096} { // the buffer ends everywhere
			in := bufio.NewReaderSize(strings.NewReader(test.wire), size)
			text, err := io.ReadAll(NewDotReader(in))
			rest, _ := io.ReadAll(in)
			if err != nil || string(text) != test.text || string(rest) != test.rest {
				t.Errorf("%s, buffer of %d: text %q, rest %q, %v", test.name, size, text, rest, err)
			}
		}
	}
}

// dotsByLines reads a text line by line, as RFC 5321, Section 4.5.2, describes it.
func dotsByLines(wire string) (text, rest string, err error) {
	bare := false
	for line := range strings.Lines(wire) {
		rest = wire[len(line):]
		wire = rest
		whole := strings.HasSuffix(line, "\n")
		if line == ".\r\n" && !bare {
			return text, rest, nil
		}
		if line == ".\r\n" || line == ".\n" {
			return text, rest, ErrBareLF
		}
		line = strings.TrimPrefix(line, ".")
		bare = bare || whole && !strings.HasSuffix(line, "\r\n")
		text += line
	}
	return text, "", io.ErrUnexpectedEOF
}

// FuzzDotReader compares the reader with one that reads line by line.
func FuzzDotReader(f *testing.F) {
	for _, seed := range []string{"", "a\r\n.\r\nb", "..a\r\n.\r\n", "a\n.\n", ".a\n\r\n.\r\n", "\r\n..\n.\r\nx", ".\r", "a\r\n.\ra\r\n.\r\n"} {
		f.Add(seed, 1)
	}
	f.Fuzz(func(t *testing.T, wire string, n int) {
		in := bufio.NewReaderSize(&inPieces{wire, 1 + n&63}, 16)
		got, err := io.ReadAll(NewDotReader(in))
		rest, _ := io.ReadAll(in)
		text, after, want := dotsByLines(wire)
		if err != want {
			t.Fatalf("%q: %v, want %v", wire, err, want)
		}
		if want != io.ErrUnexpectedEOF && (string(got) != text || string(rest) != after) {
			t.Fatalf("%q: %q, rest %q, want %q, %q", wire, got, rest, text, after)
		}
	})
}

// The CR and the LF of a line can be the last byte of one buffer and the first of the next.
// That is no bare LF, and a dot behind it is the first of its line.
func TestLinesOfAnyLengthArriveWhole(t *testing.T) {
	for _, size := range []int{16, 4096} {
		for n := range 3 * size {
			if n > 20 && n%size > 10 && n%size < size-10 {
				continue
			}
			line := strings.Repeat("x", n) + "\r\n"
			want := line + ".dot\r\n" + line
			in := bufio.NewReaderSize(strings.NewReader(line+"..dot\r\n"+line+".\r\nQUIT"), size)
			text, err := io.ReadAll(NewTextChecker(NewDotReader(in), TextLimits{}))
			rest, _ := io.ReadAll(in)
			if err != nil || string(text) != want || string(rest) != "QUIT" {
				t.Fatalf("lines of %d bytes, buffer of %d: %d bytes, rest %q, %v", n, size, len(text), rest, err)
			}
		}
	}
}

// A bare LF at the start of a buffer, or a bare CR at its end, is still one.
func TestBareLineEndsAtBufferEndsAreSeen(t *testing.T) {
	for _, size := range []int{16, 4096} {
		for n := size - 4; n <= size+4; n++ {
			for bare, want := range map[string]error{"\n": ErrBareLF, "\r": ErrBareCR, "\r\r\n": ErrBareCR} {
				wire := strings.Repeat("x", n) + bare + "y\r\n.\r\n"
				_, err := io.ReadAll(NewTextChecker(NewDotReader(bufio.NewReaderSize(strings.NewReader(wire), size)), TextLimits{}))
				if err != want {
					t.Errorf("%d bytes, %q, buffer of %d: %v, want %v", n, bare, size, err, want)
				}
			}
		}
	}
}

func TestDotReaderReportsLostConnection(t *testing.T) {
	for _, wire := range []string{"", "a\r\n", "a\r\n.", "a\r\n.\r"} {
		_, err := io.ReadAll(NewDotReader(bufio.NewReader(strings.NewReader(wire))))
		if err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %v", wire, err)
		}
	}
}

// Lines that have arrived are passed on at once, and the connection's own error is reported.
func TestDotReaderWaitsForNothingThatItNeedNot(t *testing.T) {
	lost := errors.New("lost")
	for _, arrived := range []string{"a\r\n", "a\r\nb\r\n", "..\r\n"} {
		in := &once{text: arrived, err: lost}
		dots := NewDotReader(bufio.NewReaderSize(in, 16))
		n, err := dots.Read(make([]byte, 100))
		if n == 0 || err != nil || in.reads != 1 {
			t.Errorf("%q: %d bytes, %v, after %d reads", arrived, n, err, in.reads)
		}
		if _, err := io.ReadAll(dots); err != lost {
			t.Errorf("%q: %v", arrived, err)
		}
	}
}

// once is a connection on which text arrives, and then an error.
type once struct {
	text  string
	err   error
	reads int
}

func (o *once) Read(p []byte) (int, error) {
	if o.reads++; o.reads == 1 {
		return copy(p, o.text), nil
	}
	return 0, o.err
}

// Such a text is refused, and nothing after it is a command.
func TestDotReaderStopsAtEndAfterBareLF(t *testing.T) {
	for _, test := range []struct{ wire, rest string }{
		{"a\n.\nrest", "rest"},
		{"a\n.\r\nrest", "rest"},
		{"a\r\n.\nrest", "rest"},
		{"a\nb\r\n.\r\nrest", "rest"},
		{"a\r\n.\r\nrest", "rest"},
		{".\nrest", "rest"},
	} {
		for _, size := range []int{16, 17, 18, 4096} {
			in := bufio.NewReaderSize(strings.NewReader(test.wire), size)
			_, err := io.ReadAll(NewTextChecker(NewDotReader(in), TextLimits{}))
			rest, _ := io.ReadAll(in)
			bare := test.wire != "a\r\n.\r\nrest"
			if errors.Is(err, ErrBareLF) != bare || string(rest) != test.rest {
				t.Errorf("%q, buffer of %d: %v, rest %q", test.wire, size, err, rest)
			}
		}
	}
}

// pieces records each write.
type pieces struct{ writes []string }

func (p *pieces) Write(b []byte) (int, error) {
	p.writes = append(p.writes, string(b))
	return len(b), nil
}

func (p *pieces) all() string { return strings.Join(p.writes, "") }

// stuff writes the text in pieces of at most n bytes through a small buffer.
func stuff(text string, n int) *pieces {
	var out pieces
	dots := NewDotWriter(&out, make([]byte, 0, 64))
	for len(text) > 0 {
		n := min(n, len(text))
		io.WriteString(dots, text[:n])
		text = text[n:]
	}
	dots.Close()
	return &out
}

func TestDotWriterDoublesDots(t *testing.T) {
	for _, tt := range []struct{ name, text, wire string }{
		{"empty", "", ".\r\n"},
		{"no dot", "a\r\nb\r\n", "a\r\nb\r\n.\r\n"},
		{"first line", ".a\r\n", "..a\r\n.\r\n"},
		{"later line", "a\r\n.b\r\n", "a\r\n..b\r\n.\r\n"},
		{"only dots", ".\r\n..\r\n", "..\r\n...\r\n.\r\n"},
		{"dot within a line", "a.b.\r\n", "a.b.\r\n.\r\n"},
		{"last line not ended", "a", "a\r\n.\r\n"},
		{"last line not ended, with dot", "a\r\n.", "a\r\n..\r\n.\r\n"},
		{"after bare LF", "a\n.\r\nb\r\n", "a\n..\r\nb\r\n.\r\n"},
		{"ends in bare LF", "a\n", "a\n\r\n.\r\n"},
		{"LF alone", "\n", "\n\r\n.\r\n"},
	} {
		for n := 1; n <= len(tt.text)+1; n++ {
			if wire := stuff(tt.text, n).all(); wire != tt.wire {
				t.Errorf("%s, %d bytes at once: %q, want %q", tt.name, n, wire, tt.wire)
			}
		}
	}
}

// stuffBlocks is stuff by ReadBlock, through a larger buffer, as ReadBlock reads no less
// than minRead at once.
func stuffBlocks(text string, n int) *pieces {
	var out pieces
	dots := NewDotWriter(&out, make([]byte, 0, 2*minRead))
	r := &inPieces{text, n}
	for dots.ReadBlock(r, make([]byte, 2*minRead)) == nil {
	}
	dots.Close()
	return &out
}

// inPieces reads at most n bytes of a text at once, the last together with io.EOF.
type inPieces struct {
	text string
	n    int
}

func (r *inPieces) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), r.n)], r.text)
	if r.text = r.text[n:]; r.text == "" {
		return n, io.EOF
	}
	return n, nil
}

// ReadBlock adds the same dots, whatever the blocks, also where they fill the buffer.
func TestReadBlockDoublesDots(t *testing.T) {
	for _, text := range []string{
		"", ".", "\n.", "a\r\n.\r\n..\r\nb", strings.Repeat(".\r\n", 3000), strings.Repeat("x", 5000) + "\r\n.\r\n",
		strings.Repeat("a.b.c\r\n.\r\n", 1000), strings.Repeat(".", 5000), strings.Repeat("\n.", 5000),
	} {
		want := stuff(text, 7).all()
		for _, n := range []int{1, 2, 3, 7, 1000, minRead, 5000} {
			if wire := stuffBlocks(text, n).all(); wire != want {
				t.Errorf("%.20q of %d bytes, %d at once: %d bytes, want %d", text, len(text), n, len(wire), len(want))
			}
		}
	}
}

func TestDotWriterWritesEndWithText(t *testing.T) {
	for size := range 200 {
		writes := stuff(strings.Repeat("x", size), 7).writes
		last := writes[len(writes)-1]
		if size > 0 && (!strings.HasSuffix(last, endOfText) || len(last) == len(endOfText)) {
			t.Fatalf("text of %d bytes: the last write is %q", size, last)
		}
		for _, write := range writes {
			if len(write) > 64 {
				t.Fatalf("text of %d bytes: a write of %d through a buffer of 64", size, len(write))
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestDotWriterKeepsItsError(t *testing.T) {
	lost := errors.New("lost")
	dots := NewDotWriter(failing{lost}, nil)
	dots.Write(make([]byte, 2*DotBufferSize))
	if _, err := dots.Write([]byte("x")); err != lost {
		t.Errorf("Write: %v", err)
	}
	if err := dots.Close(); err != lost {
		t.Errorf("Close: %v", err)
	}
}

// FuzzDotWriter checks the writer with two readers. Whatever the text, they must
// find its end where it ends, and a text of whole lines must come back as it
// was.
func FuzzDotWriter(f *testing.F) {
	for _, seed := range []string{
		"", ".", "..", ".\r\n", "a\r\n.\r\nb\r\n", "a\r\n..b\r\n", "\r\n.", "\n.\n", "\r.\r", "a\r\n.\n", "\r\n\r\n.",
	} {
		f.Add(seed, 1)
		f.Add(seed, 100)
	}
	f.Fuzz(func(t *testing.T, text string, n int) {
		wire := stuff(text, max(1, n%100)).all()
		if blocks := stuffBlocks(text, max(1, n%100)).all(); blocks != wire {
			t.Fatalf("%q: by blocks %q, want %q", text, blocks, wire)
		}
		in := bufio.NewReader(strings.NewReader(wire))
		read, err := io.ReadAll(NewDotReader(in))
		if rest, _ := io.ReadAll(in); len(rest) > 0 {
			t.Fatalf("%q: reader leaves %q", wire, rest)
		}
		if !wholeLines(text) {
			return
		}
		if err != nil || string(read) != text {
			t.Fatalf("%q: read as %q, %v", text, read, err)
		}
		oracle, err := io.ReadAll(textproto.NewReader(bufio.NewReader(strings.NewReader(wire))).DotReader())
		if want := strings.ReplaceAll(text, "\r\n", "\n"); err != nil || string(oracle) != want {
			t.Fatalf("%q: net/textproto reads %q, %v", text, oracle, err)
		}
	})
}

// wholeLines reports whether text is lines that end in CRLF, without other CR or LF.
func wholeLines(text string) bool {
	bare := strings.ReplaceAll(text, "\r\n", "")
	return !strings.ContainsAny(bare, "\r\n") && (text == "" || strings.HasSuffix(text, "\r\n"))
}

func BenchmarkDotWriter(b *testing.B) {
	text := bytes.Repeat([]byte(strings.Repeat("x", 76)+"\r\n"), 200)
	buf := make([]byte, 0, DotBufferSize)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		dots := NewDotWriter(io.Discard, buf)
		dots.Write(text)
		dots.Close()
	}
}
