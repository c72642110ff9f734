package interop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/handshake"
	"postern/interop"
)

const transcripts = "testdata/transcripts"

// What a golden transcript may expect, apart from the ID of a case.
const (
	expectNone    = "none"    // no sender failed
	expectUnknown = "unknown" // a failure that matches no case
)

// A golden is a recorded handshake with a header that says what it shows:
//
//	expect: early-ticket
//	source: https://github.com/golang/go/issues/70232
//	peer: strict client on crypto/tls go1.26.8
//	comment: the server's mode is stock
//
// The diagram follows, for people, and after a line of its own the transcript in JSON.
type golden struct {
	Expect, Source, Peer, Comment string

	transcript *handshake.Transcript
}

const recordLine = "--- transcript\n"

// path returns the file of a golden by its name, such as "early-ticket.retried".
func path(name string) string { return filepath.Join(transcripts, name+".txt") }

func (g *golden) text() ([]byte, error) {
	record, err := json.Marshal(g.transcript)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "expect: %s\nsource: %s\npeer: %s\ncomment: %s\n\n", g.Expect, g.Source, g.Peer, g.Comment)
	b.WriteString(g.transcript.Diagram(handshake.DiagramOptions{}))
	b.WriteString(recordLine)
	if err := json.Indent(&b, record, "", "\t"); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

func readGolden(name string) (*golden, []byte, error) {
	text, err := os.ReadFile(path(name))
	if err != nil {
		return nil, nil, err
	}
	g, err := parseGolden(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path(name), err)
	}
	return g, text, nil
}

func parseGolden(text []byte) (*golden, error) {
	header, rest, ok := strings.Cut(string(text), "\n\n")
	_, record, found := strings.Cut(rest, recordLine)
	if !ok || !found {
		return nil, fmt.Errorf("no header, or no line %q", strings.TrimSpace(recordLine))
	}
	g := new(golden)
	for line := range strings.Lines(header + "\n") {
		if err := g.set(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, err
		}
	}
	if !knownExpectation(g.Expect) {
		return nil, fmt.Errorf("expects %q, which is no case", g.Expect)
	}
	var err error
	g.transcript, err = handshake.Parse([]byte(record))
	return g, err
}

func (g *golden) set(line string) error {
	key, value, _ := strings.Cut(line, ": ")
	field := map[string]*string{"expect": &g.Expect, "source": &g.Source, "peer": &g.Peer, "comment": &g.Comment}[key]
	if field == nil || *field != "" || value == "" {
		return fmt.Errorf("header line %q: not one of expect, source, peer, comment, or a second time, or empty", line)
	}
	*field = value
	return nil
}

func knownExpectation(expect string) bool {
	_, ok := interop.Find(expect)
	return ok || expect == expectNone || expect == expectUnknown
}

// goldens returns all of them by name.
func goldens(t testing.TB) map[string]*golden {
	t.Helper()
	files, err := filepath.Glob(path("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts in %s: %v", transcripts, err)
	}
	all := make(map[string]*golden)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		g, _, err := readGolden(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = g
	}
	return all
}

// When Diagram or MarshalJSON change, -update=diagrams rewrites the files.
func TestGoldensAreWrittenAsTheyAreRead(t *testing.T) {
	for name := range goldens(t) {
		g, text, err := readGolden(name)
		if err != nil {
			t.Fatal(err)
		}
		again, err := g.text()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if bytes.Equal(text, again) {
			continue
		}
		if *update == "" || *update == "diagnoses" {
			t.Errorf("%s is out of date; run go test ./interop -update=diagrams and go generate ./interop", path(name))
			continue
		}
		if err := os.WriteFile(path(name), again, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGoldenRefusesUnknownHeaders(t *testing.T) {
	const rest = "\n\ndiagram\n" + recordLine + "{}\n"
	for _, header := range []string{
		"expect: no-such-case\nsource: s\npeer: p\ncomment: c",
		"expect: none\nsource: s\npeer: p\ncomment: c\nremark: r",
		"expect: none\nexpect: none",
		"expect: ",
		"",
	} {
		if _, err := parseGolden([]byte(header + rest)); err == nil || strings.Contains(err.Error(), "parsing") {
			t.Errorf("header %q gave %v, want an error of its own", header, err)
		}
	}
}
