package main

import (
	"os"
	"strings"
	"testing"

	"postern/internal/clientsim"
)

// The page has what the simulation finds with the installed Go, client by client, and says of
// its own table what is in it. What it says of the change is what make upstream found.
func TestPageIsOfTheseClients(t *testing.T) {
	page := read(t, "../matrix.md")
	before, with := columns(t, page)
	t.Setenv("PATH", t.TempDir()) // so no real client is found, and it is the same everywhere
	m, err := (&clientsim.Simulation{Timeout: patience}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range column(m) {
		if i >= len(before) || before[i] != c {
			t.Fatalf("row %d of docs/upstream/go-70232/matrix.md is not of %q: run make upstream", i+1, c)
		}
	}
	_, version, _ := strings.Cut(page, "in a program of ")
	version, _, _ = strings.Cut(version, ",\n")
	var written strings.Builder
	if err := writePage(&written, version, before, with); err != nil {
		t.Fatal(err)
	}
	if written.String() != page {
		t.Errorf("the page is not as this program writes it: run make upstream. It would be\n%s", written.String())
	}
}

// README names the clients that the change helps.
func TestREADMENamesTheClientsThatDiffer(t *testing.T) {
	before, with := columns(t, read(t, "../matrix.md"))
	readme := strings.Join(strings.Fields(read(t, "../README.md")), " ")
	const want = "These differ: `early-ticket`, `ticket-in-finished-read`. "
	if got := summary(before, with); !strings.HasPrefix(got, want) || !strings.Contains(readme, "`early-ticket` and `ticket-in-finished-read` fail before") {
		t.Errorf("matrix.md says %q; README.md has to say the same", got)
	}
}

func TestColumnsOfDifferentClientsAreRefused(t *testing.T) {
	one, other := []cell{{"swaks", "in"}}, []cell{{"openssl", "in"}}
	if err := writePage(new(strings.Builder), "go1.26", one, other); err == nil {
		t.Error("a page was written")
	}
}

// columns returns the two columns of the page's table.
func columns(t *testing.T, page string) (before, with []cell) {
	t.Helper()
	_, table, _ := strings.Cut(page, "Go, patched\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table + "\n") {
		fields := strings.Fields(row)
		if len(fields) != 3 {
			t.Fatalf("row %q: want a client and two results", row)
		}
		before = append(before, cell{fields[0], clientsim.Mark(fields[1])})
		with = append(with, cell{fields[0], clientsim.Mark(fields[2])})
	}
	return before, with
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
