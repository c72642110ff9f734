package capture_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/capture"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/interop"
	"postern/sessionticket"
)

var update = flag.Bool("update", false, "record testdata, as root, with the peers in testdata/README.md")

// A sample is a committed capture.
type sample struct {
	file string // in testdata; its key log, if any, has the suffix .keys
	want []string
	ehlo string
	id   string // of the case; empty if there is none
}

var strict = sample{"early-ticket.chasquid-1.11.pcap", []string{
	"client: ClientHello",
	"server: ServerHello EncryptedExtensions? Certificate? CertificateVerify? Finished? NewSessionTicket?! NotTLS", // "554 5.5.0 Error in TLS handshake: EOF"
	"closed by the client after NewSessionTicket, unused",
}, "sender.example", "early-ticket"}

var healthy = sample{"healthy.openssl-3.0.pcap", []string{
	"client: ClientHello",
	"server: ServerHello EncryptedExtensions Certificate CertificateVerify Finished",
	"client: Finished ApplicationData",
	"server: NewSessionTicket ApplicationData Alert",
	"client: Alert",
	"closed by the server after Alert, completed, mail",
}, "mail.example.com", ""}

var padded = sample{"clienthello-9000-bytes.pcap", []string{
	"client: ClientHello",
	"server: Alert",
	"alerted by the server after Alert, unused",
}, "out.example", "tls10-only"}

func (s sample) bytes(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", s.file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s sample) keys(t *testing.T) handshake.Keys {
	t.Helper()
	path := filepath.Join("testdata", s.file+".keys")
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return parseKeys(t, path)
}

func (s sample) write(t *testing.T, capture []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("testdata", s.file), capture, 0o644); err != nil {
		t.Fatal(err)
	}
}

// check compares a complete flow with what is expected.
func (s sample) check(t *testing.T, found []*capture.Conversation) {
	t.Helper()
	if len(found) != 1 {
		t.Fatalf("%d conversations, want 1", len(found))
	}
	checkTranscript(t, found[0], s.want...)
	id := ""
	if cases, _ := interop.Diagnose(found[0].Transcript); len(cases) > 0 {
		id = cases[0].Case.ID
	}
	if id != s.id {
		t.Errorf("the case is %q, want %q", id, s.id)
	}
	if c := found[0]; c.EHLO != s.ehlo || c.Protocol != capture.SMTP || !c.StartTLS || c.MidStream || c.MissingBytes != 0 {
		t.Errorf("read %+v", c)
	}
}

func TestCommittedCaptures(t *testing.T) {
	if *update {
		recordStrict(t)
		recordHealthy(t)
	}
	for _, s := range []sample{strict, healthy, padded} {
		t.Run(s.file, func(t *testing.T) { s.check(t, read(t, s.bytes(t), s.keys(t))) })
	}
}

func recordStrict(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	addr := testpeer.StartChasquid(t, pair)
	recording := testpeer.StartTCPDump(t, addr)
	if !connectStrictly(t, addr, clientConfig(pair)) {
		t.Fatal("the strict client completed the handshake")
	}
	strict.write(t, recording.Stop(t))
}

func recordHealthy(t *testing.T) {
	addr := startPostern(t, sessionticket.FirstWrite, testcert.New(t, testcert.Options{}))
	keys := filepath.Join("testdata", healthy.file+".keys")
	os.Remove(keys)
	recording := testpeer.StartTCPDump(t, addr)
	d := testpeer.SendOpenSSL(t, addr, testpeer.OpenSSLOptions{Args: []string{"-keylogfile", keys}})
	if !d.Delivered {
		t.Fatalf("not delivered: %s\n%s", d.Reply, d.Output)
	}
	healthy.write(t, recording.Stop(t))
}

// A healthy flow must not be diagnosed as a case without keys either.
func TestHealthyFlowWithoutKeysIsNoCase(t *testing.T) {
	found := read(t, healthy.bytes(t), nil)
	checkTranscript(t, found[0],
		"client: ClientHello",
		"server: ServerHello EncryptedExtensions? Certificate? CertificateVerify? Finished?",
		"client: Finished? ApplicationData?",
		"server: Unknown ApplicationData? Alert?",
		"client: Alert?",
		"closed by the server after Alert, completed, data")
	if cases, _ := interop.Diagnose(found[0].Transcript); len(cases) > 0 {
		t.Errorf("diagnosed as %s", cases[0].Case.ID)
	}
}

// transcriptLines describes a transcript: a line for what a side sent without a reply
// in between, then how it ended. ChangeCipherSpec is left out; types that were inferred from
// order and size have a question mark; an early ticket has an exclamation mark.
func transcriptLines(c *capture.Conversation) []string {
	t := c.Transcript
	if t == nil {
		return []string{"no TLS"}
	}
	var lines []string
	var last handshake.Side
	for i, m := range t.Messages {
		if m.Type == handshake.TypeChangeCipherSpec {
			continue
		}
		if m.From != last {
			lines = append(lines, m.From.String()+":")
			last = m.From
		}
		name := m.Type.String()
		if m.Inferred {
			name += "?"
		}
		if t.IsEarlyTicket(i) {
			name += "!"
		}
		if m.Missing > 0 {
			name += fmt.Sprintf("-%d", m.Missing)
		}
		lines[len(lines)-1] += " " + name
	}
	return append(lines, ending(t))
}

func ending(t *handshake.Transcript) string {
	text := t.End.Kind.String()
	if t.End.By != handshake.UnknownSide {
		text += " by the " + t.End.By.String()
	}
	if t.End.After > 0 {
		text += " after " + t.Messages[t.End.After-1].Type.String()
	}
	if t.Completed {
		text += ", completed"
	}
	return text + ", " + t.Use.String()
}

func checkTranscript(t *testing.T, c *capture.Conversation, want ...string) {
	t.Helper()
	if got, want := strings.Join(transcriptLines(c), "\n\t"), strings.Join(want, "\n\t"); got != want {
		t.Errorf("the transcript is\n\t%s\nwant\n\t%s", got, want)
	}
}

// checkBegins is for conversations in which the order of the last messages can vary.
func checkBegins(t *testing.T, c *capture.Conversation, want ...string) {
	t.Helper()
	if got, want := strings.Join(transcriptLines(c), "\n\t"), strings.Join(want, "\n\t"); !strings.HasPrefix(got, want) {
		t.Errorf("the transcript is\n\t%s\nwant it to begin\n\t%s", got, want)
	}
}
