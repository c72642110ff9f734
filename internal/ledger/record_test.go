package ledger

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"testing"

	"postern/internal/testfill"
)

var update = flag.Bool("update", false, "write testdata/records.txt, after a change that hosts of the version before can read")

func filled[E event]() event {
	e := new(E)
	testfill.Fill(e)
	return *e
}

// Hosts of the version before send records, and read those of this version: they are in the file as they
// were, each with all fields. Whoever changes them finds out here.
func TestRecordsAreThoseOfTheVersionBefore(t *testing.T) {
	const file = "testdata/records.txt"
	events := map[string]event{
		handshakeRecord: filled[recordedHandshake](), revisionRecord: filled[Revision](), nameRecord: filled[Name](),
		refusalRecord: filled[Refusal](), acceptanceRecord: filled[Acceptance](), decisionRecord: filled[decision](),
		eventRecord: filled[Event](), alertRecord: filled[alert](), reportRecord: filled[recordedReport](),
	}
	var now bytes.Buffer
	for _, kind := range slices.Sorted(maps.Keys(parsers)) {
		data, err := json.Marshal(events[kind])
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		now.WriteString(kind + " " + string(data) + "\n")
		if got, err := (Record{ID: 1, Kind: kind, Data: data}).parse(); err != nil {
			t.Error(err)
		} else if again, err := json.Marshal(got); err != nil || !bytes.Equal(again, data) {
			t.Errorf("a record is\n%s\nand when it was read\n%s, %v", data, again, err)
		}
	}
	if *update {
		if err := os.WriteFile(file, now.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(now.Bytes(), before) {
		t.Errorf("the records are\n%s\nand were\n%s", now.Bytes(), before)
	}
}
