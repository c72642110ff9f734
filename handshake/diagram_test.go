package handshake_test

import (
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "postern/handshake"
)

var update = flag.Bool("update", false, "write testdata")

func TestDiagramsMatchGoldenFiles(t *testing.T) {
	for name, sample := range samples {
		golden(t, filepath.Join("diagrams", name+".txt"), sample().Diagram(DiagramOptions{}))
		golden(t, filepath.Join("diagrams", name+".ascii"), sample().Diagram(DiagramOptions{ASCII: true}))
		golden(t, filepath.Join("diagrams", name+".svg"), sample().DiagramSVG()+"\n")
	}
}

// The example reads this file.
func TestExampleFileIsTheSample(t *testing.T) {
	data, err := json.MarshalIndent(earlyTicket(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "early-ticket.json", string(data)+"\n")
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is no longer so; look, and run with -update if it is better:\n%s", file, got)
	}
}

func TestDateIsInTheGivenLocation(t *testing.T) {
	place := time.FixedZone("CEST", 2*60*60)
	if got := healthy().Diagram(DiagramOptions{Location: place}); !strings.Contains(got, "24 October 2024 11:15:02 CEST") {
		t.Errorf("no time of Central Europe in\n%s", got)
	}
}

func TestLateTicketIsNotMarked(t *testing.T) {
	for name, sample := range samples {
		early := strings.Contains(sample().Diagram(DiagramOptions{}), "← before the client's Finished")
		if want := name == "early-ticket" || name == "format"; early != want {
			t.Errorf("%s: the ticket is marked as early: %v, want %v", name, early, want)
		}
	}
}

func TestCrossMarksTheSideThatEndedTheConnection(t *testing.T) {
	for name, want := range map[string]string{
		"early-ticket":  "  41.9 ms   ✗ closed silently by the client, after NewSessionTicket  │",
		"not-tls":       "            │     closed by the server without an alert, after bytes ✗",
		"reset":         "            ✗     connection reset, after the server's Finished      ✗",
		"alert":         "            ✗ ended by the client with the alert unknown_ca          │",
		"partial-hello": "            ✗ timed out waiting for the client, in the middle of     │",
		"unused":        "            ✗ closed silently by the client, after NewSessionTicket  │",
		"healthy":       "",
		"resumed":       "",
	} {
		got := ""
		for line := range strings.Lines(samples[name]().Diagram(DiagramOptions{})) {
			if strings.Contains(line, "✗") {
				got = strings.TrimSuffix(line, "\n")
			}
		}
		if got != want {
			t.Errorf("%s: got  %q\nwant %q", name, got, want)
		}
	}
}

func TestDiagramAcceptsAnyTranscript(t *testing.T) {
	odd := alert()
	odd.View, odd.Use, odd.End = 9, 9, End{Kind: 9, By: 9, After: -1}
	odd.Omitted = -1
	odd.Messages = append(odd.Messages, Message{From: 9, Type: 99, Size: -1 << 63, At: -1 << 63, Missing: 1 << 62, Write: -1})
	odd.ClientHello.Versions = make([]Version, 5000)
	odd.ClientHello.ServerName = strings.Repeat("a", 5000)
	checkDiagram(t, odd)
}

func TestImageHasTheTextOfThePeerAsText(t *testing.T) {
	hostile := notTLS()
	hostile.NotTLS = []byte(`"/><script>`)
	decoder := xml.NewDecoder(strings.NewReader(hostile.DiagramSVG()))
	shown := ""
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if name := token.Name.Local; name != "svg" && name != "text" && name != "path" {
				t.Errorf("element %q", name)
			}
		case xml.CharData:
			shown += string(token)
		}
	}
	if !strings.Contains(shown, `\"/><script>`) {
		t.Errorf("the peer's bytes are not in %q", shown)
	}
}
