package maildir

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestStoreCutsOnlyTheCRBeforeLF(t *testing.T) {
	const (
		text = "\r\n\r\r\n\n\r\rab\r\n\r\nlast\r"
		want = "\n\r\n\n\r\rab\n\nlast\r"
	)
	for size := 2; size < len(text)+2; size++ {
		for _, slow := range []bool{false, true} {
			r := io.Reader(strings.NewReader(text))
			if slow {
				r = iotest.OneByteReader(r)
			}
			var out bytes.Buffer
			total, err := store(&out, r, make([]byte, size))
			if err != nil || out.String() != want {
				t.Errorf("buffer of %d: stored %q, %v, want %q", size, out.String(), err, want)
			}
			if total.stored != int64(len(want)) || total.wire != int64(len(text)) {
				t.Errorf("buffer of %d: counted %+v, want %d and %d", size, total, len(want), len(text))
			}
		}
	}
}

// A reader may return io.EOF with its last bytes.
func TestStoreTakesBytesThatComeWithTheEnd(t *testing.T) {
	for size := 2; size < 8; size++ {
		var out bytes.Buffer
		r := iotest.DataErrReader(strings.NewReader("abc\r\n"))
		if _, err := store(&out, r, make([]byte, size)); err != nil || out.String() != "abc\n" {
			t.Errorf("buffer of %d: stored %q, %v", size, out.String(), err)
		}
	}
}

func TestStoreTakesNoMemoryButTheBuffer(t *testing.T) {
	line := strings.Repeat("x", 998) + "\r\n"
	buf := make([]byte, bufferSize)
	lines := &repeated{line: line}
	allocs := testing.AllocsPerRun(1, func() {
		lines.left = 20_000
		if _, err := store(io.Discard, lines, buf); err != nil {
			t.Error(err)
		}
	})
	if allocs > 0 {
		t.Errorf("20 MB took %v allocations, want none", allocs)
	}
}

// repeated is a text of equal lines, one a read.
type repeated struct {
	line string
	left int
	rest string
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.left == 0 {
			return 0, io.EOF
		}
		r.left--
		r.rest = r.line
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}
