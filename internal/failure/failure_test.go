package failure

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"postern/handshake"
	"postern/internal/ledger"
	"postern/interop"
	"postern/sessionticket"
)

var update = flag.Bool("update", false, "write testdata")

var morning = time.Date(2024, 10, 24, 9, 15, 2, 0, time.UTC)

// early is the failure of October 2024, as the server stores it.
func early(t *testing.T) ledger.Handshake {
	t.Helper()
	recording, err := os.ReadFile("../../handshake/testdata/early-ticket.json")
	if err != nil {
		t.Fatal(err)
	}
	transcript, err := handshake.Parse(recording)
	if err != nil {
		t.Fatal(err)
	}
	diagnoses, failed := interop.Diagnose(transcript)
	if !failed || len(diagnoses) == 0 {
		t.Fatal("no diagnosis")
	}
	h := ledger.Handshake{
		Session: "JM5J7MHXEH", At: morning, Address: netip.MustParseAddr("192.0.2.7"), Network: netip.MustParsePrefix("192.0.2.0/24"),
		EHLO: "mail.sender.example", Fingerprint: transcript.ClientHello.JA4, Outcome: ledger.Failed, Mode: sessionticket.Stock,
		Stopped: transcript.DescribeEnd(), Next: "mode own-write: it helped",
	}
	for _, d := range diagnoses {
		stored := ledger.Diagnosis{Case: d.Case.ID, Confidence: float64(d.Confidence)}
		for _, o := range d.Observations {
			stored.Evidence = append(stored.Evidence, o.Text)
		}
		h.Diagnoses = append(h.Diagnoses, stored)
	}
	if h.Transcript, err = json.Marshal(transcript); err != nil {
		t.Fatal(err)
	}
	return h
}

// loaded stores handshakes and loads the failure with a session.
func loaded(t *testing.T, session string, all ...ledger.Handshake) Failure {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	book := ledger.Open(path, ledger.Options{})
	for _, h := range all {
		book.AddHandshake(h)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := ledger.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h, err := r.Handshake(t.Context(), session)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Load(t.Context(), r, h)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// before is a handshake that the sender completed before it changed its client.
func before(h ledger.Handshake) ledger.Handshake {
	h.Session, h.At, h.Outcome = "AAAAAAAAAA", h.At.Add(-48*time.Hour), ledger.Full
	h.Version, h.Suite, h.Group = 0x0303, 0xc02f, 29
	h.Fingerprint = "t12d0308h0_0123456789ab_0123456789ab"
	h.Stopped, h.Next, h.Diagnoses, h.Transcript = "", "", nil, nil
	return h
}

func TestAccountIsWhatAPostmasterNeeds(t *testing.T) {
	h := early(t)
	again := h
	again.Session, again.At = "BBBBBBBBBB", h.At.Add(15*time.Minute)
	account := loaded(t, h.Session, before(h), h, again).Account("mx.example.org")
	golden(t, "account.txt", account)
	for line := range strings.Lines(account) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
	if strings.Contains(account, "198.51.100.25") {
		t.Error("the account has the server's own address")
	}
}

func TestAccountOfAnUnknownFailureAsksForTheLog(t *testing.T) {
	h := early(t)
	h.Diagnoses, h.Transcript = nil, nil
	account := loaded(t, h.Session, h).Account("mx.example.org")
	for _, want := range []string{"No known case matches", "closed silently by the client, after NewSessionTicket"} {
		if !strings.Contains(account, want) {
			t.Errorf("no %q in\n%s", want, account)
		}
	}
}

func TestAccountEscapesTheSender(t *testing.T) {
	h := early(t)
	h.EHLO = "evil\x1b[2J\r\nBcc: all@example.org" + strings.Repeat("a", 500)
	account := loaded(t, h.Session, h).Account("mx.example.org")
	if strings.ContainsAny(account, "\x1b\r") || strings.Contains(account, "\nBcc:") {
		t.Errorf("the account has the sender's control characters:\n%q", account)
	}
}

func TestDifferencesNameWhatChanged(t *testing.T) {
	h := early(t)
	got := make(map[string]Difference)
	for _, d := range loaded(t, h.Session, before(h), h).Differences() {
		got[d.What] = d
	}
	for what, want := range map[string][2]string{
		"TLS version":              {"TLS 1.3", "TLS 1.2"},
		"Cipher suite":             {"TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"},
		"Offered: highest version": {"TLS 1.3", "TLS 1.2"},
	} {
		if d := got[what]; d.Failed != want[0] || d.Completed != want[1] || !d.Differs() {
			t.Errorf("%s: %+v, want %q", what, d, want)
		}
	}
	for _, what := range []string{"Address", "TLS mode", "Group"} {
		if d := got[what]; d.Failed == "" || d.Differs() {
			t.Errorf("%s: %+v, want the same", what, d)
		}
	}
	if none := loaded(t, h.Session, h).Differences(); none != nil {
		t.Errorf("without a completed handshake: %+v", none)
	}
}

// Where the messages of both are stored, they say what a fingerprint cannot: which values a client
// offers no longer, and which message came where.
func TestDifferencesOfMessages(t *testing.T) {
	h := early(t)
	transcript, err := handshake.Parse(h.Transcript)
	if err != nil {
		t.Fatal(err)
	}
	early := slices.IndexFunc(transcript.Messages, func(m handshake.Message) bool { return m.Type == handshake.TypeNewSessionTicket })
	transcript.Messages = slices.Delete(transcript.Messages, early, early+1)
	hello := transcript.ClientHello
	hello.Groups = append([]handshake.Group{0x1a1a, 0x0100}, hello.Groups...)
	slices.Reverse(hello.Suites)
	c := before(h)
	if c.Transcript, err = json.Marshal(transcript); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]Difference)
	for _, d := range loaded(t, h.Session, c, h).Differences() {
		got[d.What] = d
	}
	groups := len(hello.Groups) - 2
	for what, want := range map[string][2]string{
		"Offered: groups":        {fmt.Sprint(groups), fmt.Sprintf("%d, only here ffdhe2048", groups+1)},
		"Offered: cipher suites": {"4, in another order", "4"},
		"Server, before the client’s Finished": {
			"ServerHello, EncryptedExtensions, Certificate, CertificateVerify, Finished, NewSessionTicket",
			"ServerHello, EncryptedExtensions, Certificate, CertificateVerify, Finished",
		},
	} {
		if d := got[what]; d.Failed != want[0] || d.Completed != want[1] {
			t.Errorf("%s: %+v, want %q", what, d, want)
		}
	}
	for _, what := range []string{"Offered: extensions", "Server name (SNI)"} {
		if d, ok := got[what]; ok {
			t.Errorf("%s: %+v, which does not differ", what, d)
		}
	}
}

func TestScannerHasNoCase(t *testing.T) {
	h := early(t)
	h.Diagnoses = []ledger.Diagnosis{{Case: ledger.Scanner, Confidence: 1, Evidence: []string{"many ClientHellos"}}}
	if f := loaded(t, h.Session, h); !f.Scanner() || f.Cases != nil {
		t.Errorf("scanner %v, cases %v", f.Scanner(), f.Cases)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
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
