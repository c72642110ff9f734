package test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"postern/sessionticket/strictclient"
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
	if resumed, err := deliverStrictly(p.addr, config); err != nil || !resumed {
		t.Errorf("the third try resumed: %v, %v", resumed, err) // as the sender that it is, not as a stranger
	}
	if got := len(p.maildir().messages(t)); got != 2 {
		t.Errorf("%d messages stored, want 2", got)
	}
	seenByOperator(t, data, regexp.MustCompile(`session=(\S+)`).FindStringSubmatch(line)[1])
	p.terminate()

	p = startWith(t, data, "--ticket-policy", "stock")
	if _, err := deliverStrictly(p.addr, anyCertificate()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	pinned(t, p, data)
}

// The log's line is enough: what else is said of that session is in the ledger.
func TestAFailedHandshakeHasOneLineInTheLog(t *testing.T) {
	p := start(t, "--ticket-policy", "stock")
	p.await(0, "Ctrl-C stops it.") // the last of what it says at first
	before := p.journal.length()
	if _, err := deliverStrictly(p.addr, anyCertificate()); !errors.Is(err, strictclient.ErrEarlyTicket) {
		t.Fatal(err)
	}
	eventually(t, func() error { return says(t, "early-ticket on stock", "handshakes", "--data", p.data) })
	p.terminate()
	line := p.await(before)
	if !lineOfFailure.MatchString(line) {
		t.Errorf("the log says %s", line)
	}
	if all := p.journal.length() - before; all != 3 {
		t.Errorf("the log has %d lines, want one and the two of the end", all)
	}
}

// lineOfFailure has all that is to know at once, in this order.
var lineOfFailure = regexp.MustCompile(` level=INFO msg=session session=\w+ sender=127\.0\.0\.1:\d+ ehlo=strict\.test .*` +
	` end="TLS handshake failed" err=EOF case=early-ticket stopped="closed silently by the client, after NewSessionTicket"` +
	` ja4=t13d\w+ rung=stock next="offered first-write when it comes again: [^"]+"$`)

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
