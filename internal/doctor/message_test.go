package doctor

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/testcert"
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

// A DMARC policy of the host's domain refuses the test message, which is not signed. That is no
// fault of the way to the mailbox.
func TestRefusedTestMessageSaysWhy(t *testing.T) {
	for reply, want := range map[string]string{
		"550 5.7.1 DMARC check failed":    "message: Filters of the next hop refuse the test message to ann@example.org",
		"450 4.7.1 try again later":       "message: Filters of the next hop refuse the test message to ann@example.org",
		"554 5.6.0 I do not like this":    "message: The test message to ann@example.org was not accepted",
		"451 4.3.0 out of order for now ": "message: The test message to ann@example.org was not accepted",
	} {
		e := &examination{config: load(t, "hostname = 'mx.example.org'\ndomains = ['example.org']\ndata = '"+t.TempDir()+"'\n"),
			options: Options{Deliver: "ann@example.org"}, addresses: []netip.AddrPort{startRefusing(t, reply)}}
		e.message(t.Context())
		checkProblems(t, e.found, []string{want})
	}
}

// startRefusing starts an SMTP server that gives this reply to the text of a message.
func startRefusing(t *testing.T, reply string) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	pair := testcert.New(t, testcert.Options{Names: []string{"mx.example.org"}})
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { conn.Close() }()
		fmt.Fprint(conn, "220 mx.example.org ESMTP\r\n")
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			switch verb, _, _ := strings.Cut(lines.Text(), " "); verb {
			case "EHLO":
				fmt.Fprint(conn, "250-mx.example.org\r\n250 STARTTLS\r\n")
			case "STARTTLS":
				fmt.Fprint(conn, "220 2.0.0 go ahead\r\n")
				conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair.TLS}})
				lines = bufio.NewScanner(conn)
			case "MAIL", "RCPT":
				fmt.Fprint(conn, "250 2.0.0 Ok\r\n")
			case "DATA":
				fmt.Fprint(conn, "354 Go ahead\r\n")
			case ".":
				fmt.Fprint(conn, reply+"\r\n")
			}
		}
	}()
	return listener.Addr().(*net.TCPAddr).AddrPort()
}
