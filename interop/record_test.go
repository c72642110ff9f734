package interop_test

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"postern/handshake"
	"postern/interop"
	"postern/sessionticket"
)

// update rewrites the transcripts in testdata:
//
//	go test ./interop -update=missing    record those that are missing or do not match
//	go test ./interop -update=all        record all
//	go test ./interop -update=diagrams   only update diagrams and JSON
//	go test ./interop -update=diagnoses  only update testdata/diagnoses.txt
//
// It needs the programs that scripts/install-peers installs, and Java, Python and curl.
var update = flag.String("update", "", "write transcripts: missing, all, diagrams; or diagnoses")

func TestMain(m *testing.M) {
	flag.Parse()
	if *update != "" && os.Getenv("CI") == "true" {
		panic("-update under CI=true: transcripts are recorded by people, who look at them")
	}
	os.Exit(m.Run())
}

// A scenario is a real handshake that can be recorded.
type scenario struct {
	name    string // of the transcript: a case's ID or healthy or unknown, and a variant after a dot
	comment string
	peer    func(*testing.T) string // software and version
	source  string                  // empty means the case's first source
	mode    sessionticket.Mode
	server  func(*testing.T, *receiver) // changes the server; may be nil
	play    func(t *testing.T, r *receiver, addr string)
	linux   bool // needs Linux
	pick    int  // index of the recording; the last if there are fewer
}

// record plays the scenario and returns the picked transcript.
func (s *scenario) record(t *testing.T) *handshake.Transcript {
	t.Helper()
	r := newReceiver(t)
	r.mode = s.mode
	if s.server != nil {
		s.server(t, r)
	}
	kept := r.during(t, func(addr string) { s.play(t, r, addr) })
	if len(kept) == 0 {
		t.Fatalf("%s: nothing was recorded", s.name)
	}
	return kept[min(s.pick, len(kept)-1)]
}

func (s *scenario) where() string {
	if s.source != "" {
		return s.source
	}
	if c, ok := interop.Find(expected(s.name)); ok {
		return c.Sources[0].URL
	}
	return "recorded for comparison"
}

// matches reports whether the diagnosis of a transcript is the one in its name.
func matches(name string, transcript *handshake.Transcript) bool {
	got := ids(diagnoseAs(name, transcript))
	switch want := expected(name); want {
	case expectNone:
		return got == nil && !failed(transcript)
	case expectUnknown:
		return got == nil && failed(transcript)
	default:
		return slices.Equal(got, []string{want})
	}
}

func scenarios() []scenario { return slices.Concat(realPeers, testClients) }

func TestRecord(t *testing.T) {
	if *update != "missing" && *update != "all" {
		t.Skip("only with -update=missing or -update=all")
	}
	for _, s := range scenarios() {
		t.Run(s.name, func(t *testing.T) {
			if old, _, err := readGolden(s.name); err == nil && *update == "missing" && matches(s.name, old.transcript) {
				return
			}
			g := &golden{expected(s.name), s.where(), s.peer(t), s.comment, s.record(t)}
			text, err := g.text()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path(s.name), text, 0o644); err != nil {
				t.Fatal(err)
			}
			if !matches(s.name, g.transcript) {
				t.Errorf("recorded, but diagnosed as %q:\n%s", ids(diagnose(g.transcript)), g.transcript.Diagram(handshake.DiagramOptions{}))
			}
		})
	}
}

func TestTranscriptsAndScenariosPair(t *testing.T) {
	var want []string
	for _, s := range scenarios() {
		want = append(want, s.name)
	}
	files, err := filepath.Glob(path("*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".txt"); !slices.Contains(want, name) {
			t.Errorf("%s has no scenario that records it", name)
		}
	}
	for _, name := range want {
		if _, err := os.Stat(path(name)); err != nil {
			t.Errorf("%v: go test ./interop -update=missing records it", err)
		}
	}
}

// The test clients need only Go, so each test run plays them against its own Go version:
// the diagnosis must not depend on the version recorded.
func TestTestClientsAreStillRecognised(t *testing.T) {
	for _, s := range testClients {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if s.linux && runtime.GOOS != "linux" {
				t.Skip("needs the kernel's acknowledgements, which Postern reads on Linux")
			}
			if transcript := s.record(t); !matches(s.name, transcript) {
				t.Errorf("diagnosed as %q:\n%s", ids(diagnose(transcript)), transcript.Diagram(handshake.DiagramOptions{}))
			}
		})
	}
}
