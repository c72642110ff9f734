package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"postern/internal/smtp"
)

func TestConcurrentMessagesAreAllWhole(t *testing.T) {
	const writers, each = 50, 10
	f := newFolder(t)
	var names sync.Map
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			s := f.open(fmt.Sprint(w))
			defer s.Close()
			for i := range each {
				seed := fmt.Sprintf("%d-%d", w, i)
				envelope(s, "", "one@localhost")
				reply := s.Send(strings.NewReader(message(seed)))
				match := stored.FindStringSubmatch(reply.String())
				if match == nil {
					t.Errorf("reply %q, want 250", reply)
					return
				}
				if _, taken := names.LoadOrStore(match[1], seed); taken {
					t.Errorf("name %s given twice", match[1])
				}
			}
		})
	}
	wg.Wait()
	f.expectFiles(t, "new", writers*each)
	f.expectFiles(t, "tmp", 0)
	names.Range(func(name, seed any) bool {
		if err := f.checkWhole(name.(string)); err != nil {
			t.Error(err)
		}
		return true
	})
}

func TestIncompleteTextLeavesNothing(t *testing.T) {
	f := newFolder(t)
	for _, cause := range []error{io.ErrUnexpectedEOF, smtp.ErrBareLF, errors.New("connection reset")} {
		for _, length := range []int{0, 1, 100, bufferSize - 100, bufferSize, 3 * bufferSize} {
			text := io.MultiReader(strings.NewReader(strings.Repeat("x", length)), failing{cause})
			if reply := f.send(text); !reply.Transient() {
				t.Errorf("%v after %d bytes: reply %q, want 4xx", cause, length, reply)
			}
		}
	}
	f.expectFiles(t, "new", 0)
	f.expectFiles(t, "tmp", 0)
	if f.log.Len() > 0 {
		t.Errorf("the hop logs what is no fault of its own:\n%s", f.log)
	}
}

func TestSendReadsToTheEnd(t *testing.T) {
	f := newFolder(t)
	text := smtp.NewTextChecker(strings.NewReader(message("seed")), smtp.TextLimits{})
	f.expectStored(t, f.send(text), "7Q2F")
	if text.Err() != io.EOF {
		t.Errorf("text was read to %v, want EOF", text.Err())
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// message returns a text that can be checked for completeness by its first line. Its
// length follows from the seed: from one line to several buffers.
func message(seed string) string {
	lines := 1
	for _, c := range seed {
		lines = (lines*31 + int(c)) % 1200
	}
	var b strings.Builder
	b.WriteString("Subject: " + seed + "\r\n\r\n")
	for i := range lines {
		fmt.Fprintf(&b, "line %d of %s\r\n", i, seed)
	}
	return b.String()
}

// checkWhole returns an error if a file in new/ is not a complete message().
func (f *folder) checkWhole(name string) error {
	content, err := os.ReadFile(filepath.Join(f.dir, "new", name))
	if err != nil {
		return err
	}
	const head = "Return-Path: <>\nDelivered-To: one@localhost\n"
	text, ok := strings.CutPrefix(string(content), head)
	seed, _, _ := strings.Cut(strings.TrimPrefix(text, "Subject: "), "\n")
	if !ok || text != strings.ReplaceAll(message(seed), "\r\n", "\n") {
		return fmt.Errorf("%s is not whole: %d bytes, %.100q", name, len(content), content)
	}
	if !strings.Contains(name, fmt.Sprintf(",S=%d,", len(content))) {
		return fmt.Errorf("%s has %d bytes", name, len(content))
	}
	return nil
}

func TestStoreRemovesCRBeforeLFOnly(t *testing.T) {
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
			stored, wire, err := store(&out, r, make([]byte, size))
			if err != nil || out.String() != want {
				t.Errorf("buffer of %d: stored %q, %v, want %q", size, out.String(), err, want)
			}
			if stored != int64(len(want)) || wire != int64(len(text)) {
				t.Errorf("buffer of %d: counted %d and %d, want %d and %d", size, stored, wire, len(want), len(text))
			}
		}
	}
}

// A reader may return io.EOF with its last bytes.
func TestStoreKeepsBytesReadWithEOF(t *testing.T) {
	for size := 2; size < 8; size++ {
		var out bytes.Buffer
		r := iotest.DataErrReader(strings.NewReader("abc\r\n"))
		if _, _, err := store(&out, r, make([]byte, size)); err != nil || out.String() != "abc\n" {
			t.Errorf("buffer of %d: stored %q, %v", size, out.String(), err)
		}
	}
}

func TestStoreUsesItsBufferOnly(t *testing.T) {
	line := strings.Repeat("x", 998) + "\r\n"
	buf := make([]byte, bufferSize)
	lines := &repeated{line: line}
	allocs := testing.AllocsPerRun(1, func() {
		lines.left = 20_000
		if _, _, err := store(io.Discard, lines, buf); err != nil {
			t.Error(err)
		}
	})
	if allocs > 0 {
		t.Errorf("20 MB took %v allocations, want none", allocs)
	}
}

// repeated is a text of equal lines, one for each Read.
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

func TestUniqueNameFollowsTheConvention(t *testing.T) {
	m := &Maildir{host: "mx.example", random: 0xab}
	now := time.Unix(1_800_000_000, 42_999)
	want := fmt.Sprintf("1800000000.M42P%dQ1R00000000000000ab.mx.example", os.Getpid())
	if got := m.uniqueName(now); got != want {
		t.Errorf("name %s, want %s", got, want)
	}
}

// A clock that is set back repeats a moment, and a server that is started again may have
// the process number of the one before it. Programs that read the Maildir rename what
// they have seen, so the system would not notice that a name is taken.
func TestClockSetBackRepeatsNoName(t *testing.T) {
	f := newFolder(t)
	again, err := New(f.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	moment := time.Now()
	seen := make(map[string]bool)
	for _, jump := range []time.Duration{0, time.Hour, 24 * time.Hour, -24 * time.Hour, 0} {
		for _, m := range []*Maildir{f.maildir, again} {
			name := m.uniqueName(moment.Add(jump))
			if seen[name] {
				t.Errorf("after a jump of %v, name %s is given twice", jump, name)
			}
			seen[name] = true
		}
	}
}

func TestHostIsEscaped(t *testing.T) {
	for host, want := range map[string]string{
		"0123456789.-_":              "0123456789.-_",
		"abcdefghijklmnopqrstuvwxyz": "abcdefghijklmnopqrstuvwxyz",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
		"@[`{":                       `\100\133\140\173`, // beside the letters in ASCII
		"\x7f":                       `\177`,
		"a/b:c,d":                    `a\057b\072c\054d`,
		"a b\n":                      `a\040b\012`,
		"é":                          `\303\251`,
	} {
		if got := escapeHost(host); got != want {
			t.Errorf("escapeHost(%q) = %s, want %s", host, got, want)
		}
	}
}
