package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	byPostern = "Received: from mx.example.org ([192.0.2.25])\n\tby mx.example.org (Postern) with ESMTPS id A7ZAR5IBIH.1\n\tfor <ann@example.org>;\n\tSat, 28 Nov 2026 12:33:53 +0000\n"
	byPostfix = "Received: from mx.example.org (unknown [192.0.2.25])\n\tby mx.example.org (Postfix) with ESMTP id 882B568B\n"
	blind     = "Received: from mx.example.org (localhost [127.0.0.1])\n\tby mx.example.org (Postfix) with ESMTP id 882B568B\n"
	other     = "Subject: Test by postern doctor\nX-Received: by [192.0.2.25]\n"
)

func TestReceivedFieldsSayWhatTheNextHopSaw(t *testing.T) {
	for _, tt := range []struct {
		name, header, nextHop string
		problems              []string
	}{
		{"true client", byPostfix + byPostern + other, "smtp://127.0.0.1:10025?proxy=v2", nil},
		{"loopback", blind + byPostern + other, "smtp://127.0.0.1:10025", []string{"message: The next hop did not see the sender of the test message at 192.0.2.25"}},
		{"no field of it", byPostern + other, "smtp://127.0.0.1:10025", []string{"message: The next hop did not see the sender of the test message at 192.0.2.25"}},
		{"stored by LMTP", byPostern + other, "lmtp+unix:///run/dovecot/lmtp", nil},
		{"loop", byPostfix + byPostern + byPostfix + byPostern + other, "smtp://127.0.0.1:10025", []string{"loop: The next hop sends mail back to Postern: the test message passed it 2 times"}},
		{"fields removed", byPostfix + other, "smtp://127.0.0.1:10025", []string{"message: The test message has no Received field of Postern"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &examination{config: load(t, "hostname = 'mx.example.org'\ndomains = ['example.org']\nnext-hop = '"+tt.nextHop+"'\ndata = '"+t.TempDir()+"'\n")}
			e.judge(mailboxMessage{place: "a mailbox", header: tt.header}, "192.0.2.25")
			checkProblems(t, e.found, tt.problems)
		})
	}
}

// In a Maildir the test message is found by its Message-ID and removed; others stay.
func TestTestMessageIsRemovedFromAMaildir(t *testing.T) {
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "new"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"1": "Subject: other\n\nMessage-ID: <THE-ID@mx.example.org>\n",
		"2": byPostern + "Message-ID: <THE-ID@mx.example.org>\r\n\r\ntext\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, "new", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, ok := inMaildir(folder, "THE-ID")
	if !ok || !strings.HasPrefix(found.header, "Received: from mx.example.org") || strings.Contains(found.header, "text") {
		t.Fatalf("found %v, %q", ok, found.header)
	}
	if err := found.remove(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(folder, "new")); err != nil || len(left) != 1 || left[0].Name() != "1" {
		t.Errorf("left %v, %v", left, err)
	}
	if _, ok := inMaildir(folder, "THE-ID"); ok {
		t.Error("found again")
	}
}
