package clientsim_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"postern/handshake"
	"postern/internal/clientsim"
	"postern/internal/probe"
)

// hostile ends text, attributes and elements, and would begin others.
const hostile = `"'></pre></style><script>alert(1)</script><img src=x onerror=alert(2)>` + "\x1b[2J"

func write(t *testing.T, m *clientsim.Matrix) string {
	t.Helper()
	var page strings.Builder
	if err := m.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

// elements counts the elements of a page by their names, and its attributes by theirs.
func elements(page string) map[string]int {
	count := make(map[string]int)
	for tokens := html.NewTokenizer(strings.NewReader(page)); tokens.Next() != html.ErrorToken; {
		token := tokens.Token()
		if token.Type != html.StartTagToken {
			continue
		}
		count[token.Data]++
		for _, a := range token.Attr {
			count[a.Key+"="]++
		}
	}
	return count
}

func matrixOf(name, said string, transcript *handshake.Transcript) *clientsim.Matrix {
	return &clientsim.Matrix{
		Start:   time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC),
		Clients: []clientsim.Client{{Name: name, Version: said, Does: said}},
		Servers: []clientsim.Server{{Name: name, Version: said, Cells: []clientsim.Cell{{
			Outcome: probe.Failed, Why: said, First: transcript, Second: transcript,
		}}}},
		Missing: []clientsim.Missing{{Name: name, Why: said}},
	}
}

// Whatever programs and strangers say, the page has the same elements and attributes.
func TestPageEscapesEverything(t *testing.T) {
	said := func(text string) *handshake.Transcript {
		return &handshake.Transcript{
			ClientHello: &handshake.ClientHello{ServerName: text, ALPN: []string{text}},
			End:         handshake.End{Kind: handshake.EndClosed, By: handshake.Client, Err: text},
		}
	}
	page := write(t, matrixOf(hostile, hostile, said(hostile)))
	got, want := elements(page), elements(write(t, matrixOf("mild", "mild", said("mild"))))
	for name := range got {
		if got[name] != want[name] {
			t.Errorf("%s: %d times, want %d", name, got[name], want[name])
		}
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the text is not there")
	}
}

func TestCellOpensItsHandshakes(t *testing.T) {
	transcript := &handshake.Transcript{Messages: []handshake.Message{{From: handshake.Client, Type: handshake.TypeClientHello, Size: 300}}}
	page := write(t, matrixOf("client", "1", transcript))
	for _, want := range []string{
		`<button class="OUT" popovertarget="c0-0" aria-label="client 1 at client 1: handshake fails">OUT</button>`,
		`<div popover id="c0-0">`, "First connection", "Second connection", "├── ClientHello ─",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if n := strings.Count(page, "://"); n > 0 {
		t.Errorf("the page has %d external links", n)
	}
}

func TestColumnHeads(t *testing.T) {
	for i, want := range map[int]string{0: "A", 25: "Z", 26: "AA", 51: "AZ", 52: "BA", 701: "ZZ", 702: "AAA"} {
		if got := clientsim.Column(i); got != want {
			t.Errorf("column %d is %s, want %s", i, got, want)
		}
	}
}
