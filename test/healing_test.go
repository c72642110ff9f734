package test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/internal/strictclient"
)

// October 2024, with Postern in place of the other servers: a strict sender fails
// once, the operator sees why, and the sender's next try delivers. That is
// remembered, and an operator can decide otherwise.
func TestAStrictSenderLosesOneAttempt(t *testing.T) {
	data := t.TempDir()
	p := startWith(t, data, "--ticket-policy", "stock")
	config := anyCertificate()
	if _, err := deliverStrictly(p.addr, config); !errors.Is(err, strictclient.ErrEarlyTicket) {
		t.Fatalf("the first try: %v, want the client to close because of the early ticket", err)
	}
	line := p.await(0, "msg=session", "case=early-ticket", "rung=stock", "ehlo=strict.test", "ja4=t13",
		`stopped="closed silently by the client, after NewSessionTicket"`, `next="offered first-write when it comes again`)
	if _, err := deliverStrictly(p.addr, config); err != nil {
		t.Fatalf("the second try: %v", err)
	}
	if got := len(p.maildir().messages(t)); got != 1 {
		t.Errorf("%d messages stored, want 1", got)
	}
	seenByOperator(t, data, regexp.MustCompile(`session=(\S+)`).FindStringSubmatch(line)[1])
	p.terminate()

	p = startWith(t, data, "--ticket-policy", "stock")
	if _, err := deliverStrictly(p.addr, anyCertificate()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	pinned(t, p, data)
}

// seenByOperator looks at the failure as an operator would.
func seenByOperator(t *testing.T, data, session string) {
	t.Helper()
	eventually(t, func() error { return says(t, session, "handshakes", "--failed", "--data", data) })
	for _, look := range [][]string{
		{"early-ticket on stock: closed silently by the client", "handshakes", "--failed"},
		{`"case":"early-ticket"`, "handshakes", "--case", "early-ticket", "--json"},
		{"NewSessionTicket ← before the client's Finished", "handshakes", "show", session},
		{"https://github.com/golang/go/issues/70232", "handshakes", "show", session},
		{"moved-down, from stock to first-write", "senders", "show", "127.0.0.1"},
	} {
		if err := says(t, look[0], append(look[1:], "--data", data)...); err != nil {
			t.Error(err)
		}
	}
}

// pinned checks that a pin holds over what was learned, until it is removed.
func pinned(t *testing.T, p *postern, data string) {
	t.Helper()
	if out, status := runPostern(t, "senders", "pin", "127.0.0.0/24", "stock", "--why", "to see it fail", "--data", data); status != 0 {
		t.Fatal(out)
	}
	eventually(t, func() error {
		return says(t, "pinned, from stock to stock", "senders", "show", "127.0.0.1", "--data", data)
	})
	if _, err := deliverStrictly(p.addr, anyCertificate()); !errors.Is(err, strictclient.ErrEarlyTicket) {
		t.Errorf("pinned to stock: %v, want the client to close", err)
	}
	if out, status := runPostern(t, "senders", "unpin", "127.0.0.0/24", "--data", data); status != 0 {
		t.Fatal(out)
	}
	eventually(t, func() error { return says(t, "unpinned", "senders", "show", "127.0.0.1", "--data", data) })
	if _, err := deliverStrictly(p.addr, anyCertificate()); err != nil {
		t.Errorf("unpinned: %v", err)
	}
}

// says runs a command and looks for a text in what it prints.
func says(t *testing.T, text string, args ...string) error {
	t.Helper()
	out, status := runPostern(t, args...)
	if status != 0 || !strings.Contains(out, text) {
		return errors.New("postern " + strings.Join(args, " ") + " does not say " + text + ":\n" + out)
	}
	return nil
}

// eventually looks again and again until a look finds nothing wrong.
func eventually(t *testing.T, look func() error) {
	t.Helper()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); ; <-again.C {
		err := look()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
