package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postern/internal/testsmtp"
)

// A strict sender's handshake fails once in mode stock, the operator can see why, and
// the next attempt delivers. That survives a restart, and a pin overrides it.
func TestFallbackAfterOneFailedHandshake(t *testing.T) {
	data := t.TempDir()
	p := startWith(t, data, "--mode", "stock")
	config := testsmtp.OpportunisticTLS()
	session := regexp.MustCompile(`session=(\S+)`).FindStringSubmatch(p.meetEarlyTicket(config))[1]
	if _, err := deliverStrictly(p.addr, config); err != nil {
		t.Fatalf("the second attempt: %v", err)
	}
	if resumed, err := deliverStrictly(p.addr, config); err != nil || !resumed {
		t.Errorf("the third attempt resumed: %v, %v", resumed, err) // a known sender
	}
	if got := len(p.maildir().messages(t)); got != 2 {
		t.Errorf("%d messages stored, want 2", got)
	}
	checkCommands(t, data, session)
	p.terminate()

	p = startWith(t, data, "--mode", "stock")
	if _, err := deliverStrictly(p.addr, testsmtp.OpportunisticTLS()); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	checkPin(t, p, data)
}

// One line in the log has all that an operator needs first. The rest is in the ledger.
func TestFailedHandshakeIsOneLineInTheLog(t *testing.T) {
	p := start(t, "--mode", "stock")
	p.await(0, "Ctrl-C stops it.") // the last line of the start
	before := p.log.length()
	line := p.meetEarlyTicket(testsmtp.OpportunisticTLS())
	eventually(t, func() error { return checkOutput(t, "early-ticket, mode stock", "handshakes", "--data", p.data) })
	p.terminate()
	if !failureLine.MatchString(line) {
		t.Errorf("the line is %s", line)
	}
	if all := p.log.length() - before; all != 3 {
		t.Errorf("the log has %d lines, want one and the two of the shutdown", all)
	}
}

// failureLine matches the line, with its attributes in order.
var failureLine = regexp.MustCompile(` level=INFO msg=session session=\w+ sender=127\.0\.0\.1:\d+ ehlo=strict\.test .*` +
	` end="TLS handshake failed" err=EOF case=early-ticket confidence="?(?:almost certain|likely|possible)"? stopped="closed silently by the client, after NewSessionTicket"` +
	` ja4=t13d\w+ mode=stock next="mode own-write: [^"]+"( alternatives="[^"]+")?$`)

// checkCommands checks what the commands of an operator print about the failure.
func checkCommands(t *testing.T, data, session string) {
	t.Helper()
	eventually(t, func() error { return checkOutput(t, session, "handshakes", "--failed", "--data", data) })
	for _, look := range [][]string{
		{"early-ticket, mode stock: closed silently by the client", "handshakes", "--failed"},
		{`"case":"early-ticket"`, "handshakes", "--case", "early-ticket", "--json"},
		{"NewSessionTicket ← before the client's Finished", "handshakes", "show", session},
		{"https://github.com/golang/go/issues/70232", "handshakes", "show", session},
		{"fell-back, from stock to own-write", "senders", "show", "127.0.0.1"},
	} {
		if err := checkOutput(t, look[0], append(look[1:], "--data", data)...); err != nil {
			t.Error(err)
		}
	}
}

// checkPin checks that a pin overrides what was learned, until it is removed.
func checkPin(t *testing.T, p *postern, data string) {
	t.Helper()
	if out, status := runPostern(t, "senders", "pin", "127.0.0.0/24", "stock", "--why", "to see it fail", "--data", data); status != 0 {
		t.Fatal(out)
	}
	eventually(t, func() error {
		return checkOutput(t, "pinned, from stock to stock", "senders", "show", "127.0.0.1", "--data", data)
	})
	p.meetEarlyTicket(testsmtp.OpportunisticTLS())
	if out, status := runPostern(t, "senders", "unpin", "127.0.0.0/24", "--data", data); status != 0 {
		t.Fatal(out)
	}
	eventually(t, func() error { return checkOutput(t, "unpinned", "senders", "show", "127.0.0.1", "--data", data) })
	if _, err := deliverStrictly(p.addr, testsmtp.OpportunisticTLS()); err != nil {
		t.Errorf("unpinned: %v", err)
	}
}

// checkOutput runs a command and returns an error if its output lacks text.
func checkOutput(t *testing.T, text string, args ...string) error {
	t.Helper()
	out, status := runPostern(t, args...)
	if status != 0 || !strings.Contains(out, text) {
		return errors.New("postern " + strings.Join(args, " ") + " does not print " + text + ":\n" + out)
	}
	return nil
}

// eventually calls look again and again until it returns nil.
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

// A sender that delivers in plaintext after a failed handshake is recorded. Others are
// not: neither one that completed a handshake since, nor another host of its network.
func TestPlaintextAfterFailedHandshakeIsRecorded(t *testing.T) {
	p := start(t)
	for _, s := range []struct {
		name, address string
		attempts      []attempt
	}{
		{"gives-up.test", "127.0.0.2", []attempt{rejectsCertificate, inPlaintext}},
		{"renamed.test", "127.0.0.2", []attempt{inPlaintext}},
		{"gives-up.test", "127.0.0.3", []attempt{inPlaintext}}, // another host with that name
		{"neighbour.test", "127.0.0.4", []attempt{inPlaintext}},
		{"recovers.test", "127.0.0.5", []attempt{rejectsCertificate, overTLS, inPlaintext}},
		{"fails-again.test", "127.0.0.6", []attempt{overTLS, rejectsCertificate, inPlaintext, inPlaintext}},
		{"stays-out.test", "127.0.0.7", []attempt{rejectsCertificate}},
	} {
		for _, attempt := range s.attempts {
			attemptDelivery(t, p, s.name, s.address, attempt)
		}
	}
	want := map[string]int{"gives-up.test": 2, "renamed.test": 1, "fails-again.test": 2}
	eventually(t, func() error {
		if got := plaintextReturns(t, p); !maps.Equal(got, want) {
			return fmt.Errorf("returned in plaintext: %v, want %v", got, want)
		}
		return nil
	})
	if err := checkOutput(t, "retried without TLS 2×", "senders", "--returned", "--data", p.data); err != nil {
		t.Error(err)
	}
	first := failedSession(t, p, "gives-up.test")
	if err := checkOutput(t, "retried without TLS after "+first, "handshakes", "--sender", "127.0.0.3", "--data", p.data); err != nil {
		t.Error(err)
	}
}

// An attempt is how a sender tries to deliver.
type attempt string

const (
	rejectsCertificate attempt = "rejects the certificate"
	overTLS            attempt = "over TLS"
	inPlaintext        attempt = "in plaintext"
)

// attemptDelivery makes one attempt of a sender, and waits until its session has ended.
func attemptDelivery(t *testing.T, p *postern, name, address string, how attempt) {
	t.Helper()
	seen := p.log.count("msg=session")
	c, err := testsmtp.Dial(p.addr, address)
	if err != nil {
		t.Fatal(err)
	}
	defer p.awaitSessions(seen + 1)
	defer c.Close()
	c.Name = name
	switch how {
	case rejectsCertificate:
		config := testsmtp.OpportunisticTLS() // the same software, by its ClientHello
		config.InsecureSkipVerify = false
		if err := c.StartTLS(config); err == nil {
			t.Fatalf("%s accepts the certificate", name)
		}
		return
	case overTLS:
		err = c.StartTLS(testsmtp.OpportunisticTLS())
	case inPlaintext:
		err = c.Hello()
	}
	if err != nil {
		t.Fatalf("%s %s: %v", name, how, err)
	}
	if reply, err := c.Deliver(newMessage(name, 0)); err != nil || reply.Code != 250 {
		t.Fatalf("%s %s: %v, %v", name, how, reply, err)
	}
}

// plaintextReturns returns how often each sender came back in plaintext, by EHLO name.
func plaintextReturns(t *testing.T, p *postern) map[string]int {
	t.Helper()
	out, _ := runPostern(t, "senders", "--returned", "--json", "--data", p.data)
	found := make(map[string]int)
	for line := range strings.Lines(out) {
		var sender struct {
			EHLO     string
			Returned int
		}
		if err := json.Unmarshal([]byte(line), &sender); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		found[sender.EHLO] += sender.Returned
	}
	return found
}

// failedSession returns the session of a sender's only failed handshake.
func failedSession(t *testing.T, p *postern, name string) string {
	t.Helper()
	out, _ := runPostern(t, "handshakes", "--failed", "--sender", name, "--json", "--data", p.data)
	sessions := slices.Collect(strings.Lines(out))
	var handshake struct{ Session string }
	if err := json.Unmarshal([]byte(out), &handshake); err != nil || len(sessions) != 1 {
		t.Fatalf("%d failed handshakes of %s, %v", len(sessions), name, err)
	}
	return handshake.Session
}
