package interop_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"postern/handshake"
	"postern/interop"
)

// expected is what a file's name says: the case before the first dot, or none.
func expected(name string) string {
	first, _, _ := strings.Cut(name, ".")
	switch first {
	case "healthy":
		return expectNone
	case "unknown":
		return expectUnknown
	}
	return first
}

func ids(found []interop.Diagnosis) []string {
	var all []string
	for _, d := range found {
		all = append(all, d.Case.ID)
	}
	return all
}

// Every recogniser meets every transcript: it names its own and no other.
func TestEveryRecogniserNamesItsOwnTranscriptsOnly(t *testing.T) {
	for name, g := range goldens(t) {
		want := []string{g.Expect}
		if g.Expect == expectNone || g.Expect == expectUnknown {
			want = nil
		}
		if g.Expect != expected(name) {
			t.Errorf("%s expects %s, which its name does not say", name, g.Expect)
		}
		found := interop.Diagnose(g.transcript)
		if got := ids(found); !slices.Equal(got, want) {
			t.Errorf("%s: diagnosed as %q, want %q\n%s", name, got, want, g.transcript.Draw(handshake.DrawOptions{}))
		}
		if got, want := interop.Failed(g.transcript), g.Expect != expectNone; got != want {
			t.Errorf("%s: Failed is %v, want %v", name, got, want)
		}
		checkObservations(t, name, g.transcript, found)
	}
}

func checkObservations(t *testing.T, name string, transcript *handshake.Transcript, found []interop.Diagnosis) {
	t.Helper()
	for _, d := range found {
		if len(d.Observations) == 0 || d.Confidence <= 0 || d.Confidence > 1 {
			t.Errorf("%s: %s with confidence %v and %d observations", name, d.Case.ID, d.Confidence, len(d.Observations))
		}
		for _, o := range d.Observations {
			if o.Message < -1 || o.Message >= len(transcript.Messages) || o.Text == "" {
				t.Errorf("%s: %s observes %q at message %d of %d", name, d.Case.ID, o.Text, o.Message, len(transcript.Messages))
			}
		}
	}
}

func TestEveryCaseHasFileTranscriptAndPage(t *testing.T) {
	recorded := make(map[string]int)
	for _, g := range goldens(t) {
		recorded[g.Expect]++
	}
	if n := recorded[expectNone]; n < 12 {
		t.Errorf("%d healthy transcripts, want 12 or more", n)
	}
	for _, c := range interop.Cases() {
		if recorded[c.ID] == 0 {
			t.Errorf("%s has no transcript", c.ID)
		}
		for _, file := range []string{
			strings.ReplaceAll(c.ID, "-", "_") + ".go",
			filepath.Join("../docs/cases", c.ID+".md"),
			path(c.ID),
		} {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: %v", c.ID, err)
			}
		}
	}
}
