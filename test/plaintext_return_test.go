package test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A sender that does without TLS because of a failed handshake is found, and nobody
// else is suspected: neither one that got in over TLS since, nor a neighbour.
func TestWhoComesBackInPlaintextIsFound(t *testing.T) {
	p := start(t)
	for _, s := range []struct {
		name, address string
		attempts      []attempt
	}{
		{"gives-up.test", "127.0.0.2", []attempt{distrusts, inPlaintext}},
		{"renamed.test", "127.0.0.2", []attempt{inPlaintext}},
		{"gives-up.test", "127.0.0.3", []attempt{inPlaintext}}, // another machine of theirs
		{"neighbour.test", "127.0.0.4", []attempt{inPlaintext}},
		{"recovers.test", "127.0.0.5", []attempt{distrusts, overTLS, inPlaintext}},
		{"fails-again.test", "127.0.0.6", []attempt{overTLS, distrusts, inPlaintext, inPlaintext}},
		{"stays-out.test", "127.0.0.7", []attempt{distrusts}},
	} {
		for _, attempt := range s.attempts {
			comes(t, p, s.name, s.address, attempt)
		}
	}
	want := map[string]int{"gives-up.test": 2, "renamed.test": 1, "fails-again.test": 2}
	eventually(t, func() error {
		if got := returned(t, p); !maps.Equal(got, want) {
			return fmt.Errorf("returned in plaintext: %v, want %v", got, want)
		}
		return nil
	})
	if err := says(t, "came back without TLS, 2×", "senders", "--returned", "--data", p.data); err != nil {
		t.Error(err)
	}
	first := failedSession(t, p, "gives-up.test")
	if err := says(t, "came back without TLS after "+first, "handshakes", "--sender", "127.0.0.3", "--data", p.data); err != nil {
		t.Error(err)
	}
}

// An attempt is how a sender tries to deliver.
type attempt string

const (
	distrusts   attempt = "insists on a certificate that it knows"
	overTLS     attempt = "over TLS"
	inPlaintext attempt = "in plaintext"
)

// comes lets a sender try once, and waits until its session is over.
func comes(t *testing.T, p *postern, name, address string, how attempt) {
	t.Helper()
	seen := p.journal.count("msg=session")
	c, err := connect(p.addr, address)
	if err != nil {
		t.Fatal(err)
	}
	defer p.awaitSessions(seen + 1)
	defer c.close()
	c.name = name
	switch how {
	case distrusts:
		config := anyCertificate() // the same software, by its ClientHello
		config.InsecureSkipVerify = false
		if err := c.startTLS(config); err == nil {
			t.Fatalf("%s trusts the certificate", name)
		}
		return
	case overTLS:
		err = c.startTLS(anyCertificate())
	case inPlaintext:
		err = c.hello()
	}
	if err != nil {
		t.Fatalf("%s %s: %v", name, how, err)
	}
	if reply, err := c.deliver(newLetter(name, 0)); err != nil || reply.Code != 250 {
		t.Fatalf("%s %s: %v, %v", name, how, reply, err)
	}
}

// returned is how often each sender came back in plaintext, by its name.
func returned(t *testing.T, p *postern) map[string]int {
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

// failedSession is the session of the one handshake of a sender that failed.
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
