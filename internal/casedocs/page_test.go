package main

import (
	"os"
	"path/filepath"
	"testing"

	"postern/interop"
)

const (
	folder     = "../../docs/cases"
	recordings = "../../interop/testdata/transcripts"
)

func TestPagesAreFresh(t *testing.T) {
	want, err := pages(interop.Cases(), recordings)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Errorf("%v; run go generate ./interop", err)
		} else if string(got) != text {
			t.Errorf("docs/cases/%s is stale; run go generate ./interop", name)
		}
	}
	there, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range there {
		if _, ok := want[file.Name()]; !ok {
			t.Errorf("docs/cases/%s belongs to no case; run go generate ./interop", file.Name())
		}
	}
}

func TestWriteRemovesPagesOfCasesThatAreGone(t *testing.T) {
	folder := t.TempDir()
	gone := filepath.Join(folder, "gone.md")
	if err := os.WriteFile(gone, []byte("# gone\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // new, and over what is there
		if err := write(recordings, folder); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(gone); err == nil {
		t.Error("the page of a case that is gone is still there")
	}
	if _, err := os.Stat(filepath.Join(folder, "early-ticket.md")); err != nil {
		t.Error(err)
	}
}
