package interop_test

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"postern/handshake"
	"postern/interop"
)

// Transcripts come from files and captures, so they may hold anything.
func FuzzDiagnoseAcceptsAnyTranscript(f *testing.F) {
	for _, g := range goldens(f) {
		record, err := json.Marshal(g.transcript)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(record)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		if transcript, err := handshake.Parse(record); err == nil {
			checkAny(t, transcript)
		}
	})
}

// Each pair of bytes changes one thing in a recorded transcript, which makes combinations
// that no recorder makes.
func FuzzDiagnoseAcceptsChangedTranscripts(f *testing.F) {
	all := goldens(f)
	names := slices.Sorted(maps.Keys(all))
	for i := range names {
		f.Add(byte(i), []byte{byte(i), 1, 2, 3, 4, 5, 6, 7})
	}
	f.Fuzz(func(t *testing.T, which byte, changes []byte) {
		transcript := *all[names[int(which)%len(names)]].transcript
		transcript.Messages = slices.Clone(transcript.Messages)
		for ; len(changes) >= 2; changes = changes[2:] {
			change(&transcript, changes[0], changes[1])
		}
		checkAny(t, &transcript)
	})
}

func change(t *handshake.Transcript, what, value byte) {
	switch what % 10 {
	case 0:
		t.End.Kind = handshake.EndKind(value)
	case 1:
		t.End.By = handshake.Side(value)
	case 2:
		t.Use = handshake.Use(value)
	case 3:
		t.Completed = !t.Completed
	case 4:
		t.ClientHello = nil
	case 5:
		t.ServerHello = nil
	case 6:
		t.NotTLS = []byte{value, value, value, value, value}
	case 7:
		t.Messages = t.Messages[:min(int(value), len(t.Messages))]
	case 8:
		t.Messages = append(t.Messages, handshake.Message{From: handshake.Side(value % 4), Type: handshake.MessageType(value), Size: int(value) - 1, Missing: int(value) - 2})
	case 9:
		if n := len(t.Messages); n > 0 {
			t.Messages[int(value)%n].Type = handshake.MessageType(value)
		}
	}
}

func checkAny(t *testing.T, transcript *handshake.Transcript) {
	t.Helper()
	found := diagnose(transcript)
	checkObservations(t, "fuzzed", transcript, found)
	if len(found) > 0 && !failed(transcript) && !(transcript.Completed && found[0].Confidence < interop.Likely) {
		t.Errorf("diagnosed as %q, but not failed", ids(found))
	}
	if !slices.IsSortedFunc(found, func(a, b interop.Diagnosis) int { return cmp.Compare(b.Confidence, a.Confidence) }) {
		t.Errorf("%q are not sorted by confidence", ids(found))
	}
	transcript.Outcome()
}
