package fleet

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"postern/internal/fallback"
	"postern/internal/testfill"
)

var update = flag.Bool("update", false, "write testdata/stored, after a change that hosts of the version before can read")

// A storedKind is a kind of value that hosts share.
type storedKind struct {
	kind   string
	name   string // under which it is stored
	value  any    // pointer to it, with each field filled
	encode func(any) ([]byte, error)
	decode func([]byte) (any, error)
}

// inJSON is a kind whose values are stored as they are in JSON.
func inJSON[T any](kind, name string) storedKind {
	value := new(T)
	testfill.Fill(value)
	return storedKind{kind, name, value, json.Marshal, func(text []byte) (any, error) {
		to := new(T)
		return to, json.Unmarshal(text, to)
	}}
}

func storedKinds() []storedKind {
	keys, events := new(ring), new(batch)
	testfill.Fill(keys)
	testfill.Fill(events)
	events.After, events.Records[0].ID, events.Records[1].ID = 1, 2, 3
	return []storedKind{
		{"ring", ringName, keys, func(any) ([]byte, error) { return keys.encode(), nil }, func(text []byte) (any, error) {
			r, err := decodeRing(text)
			return &r, err
		}},
		inJSON[fallback.State]("state", "a state"),
		inJSON[fallback.PinChange]("pin", "a pin"),
		inJSON[Host]("host", "a host"),
		inJSON[sharedFile]("file", "a file"),
		{"batch", "a subject", events, func(any) ([]byte, error) { return encodeBatch(events) }, func(packed []byte) (any, error) { return decodeBatch(packed) }},
	}
}

// What hosts of the version before have stored this one reads, and what it stores they can read: it is in
// the files as it was. Whoever changes a format finds out here.
func TestStoredFormatsAreThoseOfTheVersionBefore(t *testing.T) {
	s := sealerOf(t, secret, "test")
	for _, k := range storedKinds() {
		value, err := k.encode(k.value)
		if err != nil {
			t.Fatalf("%s: %v", k.kind, err)
		}
		plain, sealed := filepath.Join("testdata", "stored", k.kind), filepath.Join("testdata", "stored", k.kind+".sealed")
		if *update {
			for file, content := range map[string][]byte{plain: value, sealed: []byte(base64.StdEncoding.EncodeToString(s.seal(k.name, value)) + "\n")} {
				if err := os.WriteFile(file, content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		want, err := os.ReadFile(plain)
		if err != nil {
			t.Fatal(err)
		}
		if k.kind != "batch" && !bytes.Equal(value, want) { // which versions of Go compress differently
			t.Errorf("a %s is stored as\n%s\nand was\n%s", k.kind, value, want)
		}
		text, err := os.ReadFile(sealed)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
		if err == nil {
			opened, err = s.open(k.name, opened)
		}
		if err != nil || !bytes.Equal(opened, want) {
			t.Errorf("a sealed %s opens as %q, %v; want %q", k.kind, opened, err, want)
		}
		if got, err := k.decode(want); err != nil || !reflect.DeepEqual(got, k.value) {
			t.Errorf("a stored %s is read as\n%+v, %v; want\n%+v", k.kind, got, err, k.value)
		}
	}
}
