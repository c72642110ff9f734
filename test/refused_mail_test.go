package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

// "Why did my partner get a 550?": the log and postern refusals say which command was refused,
// with which reply, and whether Postern or the backend said it.
func TestRefusedMailIsExplained(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{
		Users: []string{"user@localhost", "later@localhost"},
		Config: []string{
			"smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination",
			"mynetworks = 192.0.2.0/24",
			"smtpd_recipient_restrictions = check_policy_service inet:" + startGreylisting(t, "later@localhost"),
		},
	})
	config := filepath.Join(t.TempDir(), "postern.toml")
	if err := os.WriteFile(config, []byte("[limits]\nmessage-size = \"64KiB\"\n[limits.network]\nconnections = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", config, "--domain", "other.test", "--next-hop", "smtp://"+backend.Addr)
	c := connectSender(t, p)
	if crowd, err := testsmtp.Dial(p.addr, senderAddress); err == nil {
		crowd.Close()
		t.Error("a second connection was accepted")
	}
	for _, step := range []struct {
		say  string
		code int
	}{
		{"MAIL FROM:<ann@sender.test> SIZE=100000\r\n", 552},
		{"MAIL FROM:<ann@sender.test>\r\n", 250},
		{"RCPT TO:<nobody@localhost>\r\n", 550},
		{"RCPT TO:<bob@elsewhere.test>\r\n", 550},
		{"RCPT TO:<bob@other.test>\r\n", 554},
		{"RCPT TO:<later@localhost>\r\n", 450},
		{"RSET\r\n", 250},
		// The sender retries what was greylisted.
		{"MAIL FROM:<ann@sender.test>\r\n", 250},
		{"RCPT TO:<later@localhost>\r\n", 250},
		{"DATA\r\n", 354},
		{newMessage("greylisted", 0).Data(), 250},
		{"QUIT\r\n", 221},
	} {
		if err := c.Expect(step.say, step.code); err != nil {
			t.Fatalf("%.40q: %v", step.say, err)
		}
	}
	p.awaitSessions(2)
	for _, words := range [][]string{
		{"command=CONNECT", "reply=\"421 4.7.0 ", "by=postern"},
		{"command=MAIL", "from=ann@sender.test", "reply=\"552 5.3.4 ", "by=postern"},
		{"command=RCPT", "rcpts=[nobody@localhost]", "reply=\"550 5.1.1 <nobody@localhost>: Recipient address rejected: User unknown", "by=\"next hop\""},
		{"command=RCPT", "rcpts=[bob@elsewhere.test]", "reply=\"550 5.7.1 ", "by=postern"},
		{"command=RCPT", "rcpts=[bob@other.test]", "reply=\"554 5.7.1 <bob@other.test>: Relay access denied", "by=\"next hop\""},
		{"command=RCPT", "rcpts=[later@localhost]", "reply=\"450 4.", "by=\"next hop\""},
		{"msg=session", "messages=1", "refused=4", "deferred=1"},
	} {
		if n := p.log.count(words...); n != 1 {
			t.Errorf("the log has %d lines with %q, want one", n, words)
		}
	}
	p.terminate()
	checkRefusals(t, p.data)
}

// checkRefusals checks what the ledger has of them: domains only.
func checkRefusals(t *testing.T, data string) {
	t.Helper()
	out, err := exec.Command(program, "refusals", "--json", "--data", data, "--recipient", "localhost").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		var r struct {
			From, To, Reply, By string
			Accepted            string
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s to %s by %s: %.9s accepted %v", r.From, r.To, r.By, r.Reply, r.Accepted != ""))
	}
	want := "sender.test to localhost by next hop: 450 4.2.0 accepted true\nsender.test to localhost by next hop: 550 5.1.1 accepted false"
	if text := strings.Join(got, "\n"); text != want {
		t.Errorf("postern refusals:\n%s\nwant\n%s", text, want)
	}
	for _, name := range []string{"ann", "nobody", "later"} {
		if strings.Contains(string(out), name+"@") {
			t.Errorf("the ledger has the address of %s:\n%s", name, out)
		}
	}
}

// startGreylisting starts a policy server of Postfix (SMTPD_POLICY_README) that defers a
// recipient the first time, and returns its address.
func startGreylisting(t *testing.T, recipient string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	var first sync.Once
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				action := "DUNNO"
				for in := bufio.NewScanner(conn); in.Scan(); {
					switch in.Text() {
					case "recipient=" + recipient:
						first.Do(func() { action = "DEFER 4.2.0 greylisted, try again later" })
					case "":
						fmt.Fprintf(conn, "action=%s\n\n", action)
						action = "DUNNO"
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}
