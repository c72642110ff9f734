package interop_test

import (
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"postern/handshake"
	"postern/interop"
)

// diagnosesFile has what operators read of each recorded handshake: every diagnosis with
// its confidence and its observations, each after the index of its message.
const diagnosesFile = "testdata/diagnoses.txt"

// contexts are what else may be known of a recorded handshake, by the words of the file.
func contexts(t *handshake.Transcript) []namedContext {
	again := interop.AttemptOf(t)
	otherMode := again
	otherMode.EarlyTicket, otherMode.Version = !again.EarlyTicket, tls.VersionTLS12
	worked := func(ticket, early bool) interop.Attempt {
		return interop.Attempt{Outcome: handshake.Worked, Version: tls.VersionTLS13, Ticket: ticket, EarlyTicket: early}
	}
	return []namedContext{
		{"", interop.Context{}},
		{"the same happened again", interop.Context{Others: []interop.Attempt{again}}},
		{"the same happened in another mode", interop.Context{Others: []interop.Attempt{otherMode}}},
		{"the same happened in another mode, certificate self-signed", interop.Context{CertificateFlaw: "self-signed", Others: []interop.Attempt{otherMode}}},
		{"certificate self-signed", interop.Context{CertificateFlaw: "self-signed"}},
		{"delivered without a ticket", interop.Context{Others: []interop.Attempt{worked(false, false)}}},
		{"delivered with a late ticket", interop.Context{Others: []interop.Attempt{worked(true, false)}}},
		{"delivered with an early ticket", interop.Context{Others: []interop.Attempt{worked(true, true)}}},
	}
}

type namedContext struct {
	name    string
	context interop.Context
}

// When the words or the judgement change on purpose, -update=diagnoses rewrites the file.
func TestDiagnosesReadAsTheyDid(t *testing.T) {
	all := goldens(t)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		transcript := all[name].transcript
		alone := ""
		for _, c := range contexts(transcript) {
			text := worded(c.context.Diagnose(transcript))
			switch {
			case c.name == "":
				alone = text
				fmt.Fprintf(&b, "%s: %s", name, text)
			case text != alone:
				fmt.Fprintf(&b, "%s; %s: %s", name, c.name, text)
			}
		}
	}
	if *update == "diagnoses" {
		if err := os.WriteFile(diagnosesFile, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(diagnosesFile)
	if err != nil {
		t.Fatal(err)
	}
	got, expected := strings.Split(b.String(), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(got), len(expected)) {
		if got[i] != expected[i] {
			t.Fatalf("%s:%d is out of date; run go test ./interop -update=diagnoses if it should change:\ngot  %s\nwant %s", diagnosesFile, i+1, got[i], expected[i])
		}
	}
	if len(got) != len(expected) {
		t.Errorf("%d lines, want the %d of %s", len(got), len(expected), diagnosesFile)
	}
}

// worded is a diagnosis as in diagnosesFile.
func worded(found []interop.Diagnosis, failed bool) string {
	var b strings.Builder
	if b.WriteString("no failure\n"); failed {
		b.Reset()
		b.WriteString("failed\n")
	}
	for _, d := range found {
		fmt.Fprintf(&b, "  %s, %v (%.2f)\n", d.Case.ID, d.Confidence, float64(d.Confidence))
		for _, o := range d.Observations {
			at := "-"
			if o.Message >= 0 {
				at = fmt.Sprint(o.Message)
			}
			fmt.Fprintf(&b, "    %s  %s\n", at, o.Text)
		}
	}
	return b.String()
}

// The lists that an observation quotes are the sender's: GREASE in them means nothing (RFC
// 8701), and a hostile list is as long as it likes.
func TestListsInObservationsAreShortAndWithoutGREASE(t *testing.T) {
	const grease = 0x2a2a
	for _, c := range []struct {
		name  string
		alter func(*handshake.ClientHello)
		want  string
	}{
		{"no-shared-suite", func(h *handshake.ClientHello) { h.Suites = []handshake.Suite{grease, 0x000a} },
			"the client offers only suites that servers no longer accept: TLS_RSA_WITH_3DES_EDE_CBC_SHA"},
		{"no-shared-suite", func(h *handshake.ClientHello) { h.Suites = []handshake.Suite{grease} },
			"the client offers only suites that servers no longer accept: nothing"},
		{"no-shared-suite", func(h *handshake.ClientHello) { h.Suites = []handshake.Suite{1, grease, 2, 4, 5, 9, 10} },
			"the client offers only suites that servers no longer accept: " +
				"TLS_RSA_WITH_NULL_MD5, TLS_RSA_WITH_NULL_SHA, TLS_RSA_WITH_RC4_128_MD5, TLS_RSA_WITH_RC4_128_SHA, TLS_RSA_WITH_DES_CBC_SHA, TLS_RSA_WITH_3DES_EDE_CBC_SHA"},
		{"no-shared-suite", func(h *handshake.ClientHello) { h.Suites = []handshake.Suite{1, 2, 4, 5, 9, 10, 22} },
			"the client offers only suites that servers no longer accept: " +
				"TLS_RSA_WITH_NULL_MD5, TLS_RSA_WITH_NULL_SHA, TLS_RSA_WITH_RC4_128_MD5, TLS_RSA_WITH_RC4_128_SHA, TLS_RSA_WITH_DES_CBC_SHA, TLS_RSA_WITH_3DES_EDE_CBC_SHA, and more"},
		{"tls10-only", func(h *handshake.ClientHello) { h.Versions = []handshake.Version{0x0301, grease, 0x0302} },
			"the client offers at most TLS 1.1"},
		{"group-mismatch", func(h *handshake.ClientHello) { h.Groups = []handshake.Group{grease, 22} },
			"the client's groups are secp256k1"},
		{"rsa-only-client", func(h *handshake.ClientHello) { h.Signatures = []handshake.SignatureScheme{grease, 0x0804} },
			"the client accepts signatures of RSA keys only: rsa_pss_rsae_sha256"},
		{"sha1-signatures-only", func(h *handshake.ClientHello) { h.Signatures = []handshake.SignatureScheme{grease, 0x0201} },
			"the client's signature algorithms are rsa_pkcs1_sha1"},
	} {
		transcript := clone(goldens(t)[c.name].transcript)
		c.alter(transcript.ClientHello)
		found := diagnose(transcript)
		if len(found) != 1 || found[0].Case.ID != c.name || found[0].Observations[0].Text != c.want {
			t.Errorf("%s: %s\nwant %s", c.name, worded(found, true), c.want)
		}
	}
}
