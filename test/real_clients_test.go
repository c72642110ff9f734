package test

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

// An outcome is what a client says of its messages: how many it delivered, and
// how many of them over resumed TLS sessions.
type outcome struct{ sent, resumed int }

// A clientStory is how a mail program delivers, and the least it must say then.
type clientStory struct {
	name  string
	send  func(t *testing.T, addr string, h testpeer.Handshake) outcome
	sent  int
	least int // resumed
}

// queueLength is how many messages Postfix and Exim have to deliver.
const queueLength = 100

var clientStories = []clientStory{
	{"OpenSSL", sendOpenSSL, 2, 1},
	{"GnuTLS", sendGnuTLS, 1, 1},
	{"swaks", sendSwaks, 1, 0}, // has no session cache
	{"Go", sendGo, 2, 1},
	// Postfix begins with 20 connections at once, none of which has a session yet.
	{"Postfix", sendPostfix, queueLength, queueLength / 2},
	{"Exim", sendExim, queueLength, queueLength - 1},
}

// Every client delivers, and resumes if it can, in each mode that holds the
// ticket back and by each kind of handshake.
func TestEveryClientDeliversAndResumes(t *testing.T) {
	for _, mode := range []string{"first-write", "own-write"} {
		for _, h := range testpeer.Handshakes {
			t.Run(mode+"/"+h.String(), func(t *testing.T) {
				p := start(t, append(bothKinds(t), "--mode", mode)...)
				for _, story := range clientStories {
					t.Run(story.name, func(t *testing.T) { story.play(t, p, h) })
				}
			})
		}
	}
}

// bothKinds are the flags for an ECDSA and an RSA certificate side by side.
func bothKinds(t *testing.T) []string {
	t.Helper()
	var flags []string
	for _, rsa := range []bool{false, true} {
		pair := testcert.New(t, testcert.Options{RSA: rsa})
		flags = append(flags, "--cert", pair.CertFile, "--key", pair.KeyFile)
	}
	return flags
}

// play delivers, and compares what the client says with what Postern stored and
// logged.
func (s clientStory) play(t *testing.T, p *postern, h testpeer.Handshake) {
	before := p.journal.length()
	said := s.send(t, p.addr, h)
	if said.sent != s.sent || said.resumed < s.least {
		t.Errorf("%d messages sent, %d of them over resumed sessions, want %d, and at least %d", said.sent, said.resumed, s.sent, s.least)
	}
	stored := outcome{}
	for _, message := range p.maildir().take(t) {
		stored.sent++
		if checkTrace(t, message, h) {
			stored.resumed++
		}
	}
	if stored != said {
		t.Errorf("%+v by the messages' Received fields, %+v by the client", stored, said)
	}
	checkLog(t, p, before, said)
}

// checkTrace looks at a message's Received field and tells whether its session was resumed.
func checkTrace(t *testing.T, message stored, h testpeer.Handshake) bool {
	t.Helper()
	received := message.received()
	version := "(TLS1.3 "
	if h == testpeer.TLS12Handshake {
		version = "(TLS1.2 "
	}
	if !strings.Contains(received, " with ESMTPS ") || !strings.Contains(received, version) {
		t.Errorf("Received: %s; want ESMTPS and %s", received, version)
	}
	return strings.Contains(received, " resumed)")
}

// checkLog waits for the lines of the sessions that brought the messages.
func checkLog(t *testing.T, p *postern, from int, said outcome) {
	t.Helper()
	if _, err := p.journal.awaitLines(from, said.sent, "msg=session", "messages=1"); err != nil {
		t.Error(err)
		return
	}
	if _, n, _ := p.journal.find(from, "msg=session", "messages=1", ` resumed"`); n != said.resumed {
		t.Errorf("%d sessions resumed by the log, %d by the client", n, said.resumed)
	}
}

func sendOpenSSL(t *testing.T, addr string, h testpeer.Handshake) outcome {
	session := filepath.Join(t.TempDir(), "session")
	var all outcome
	for range 2 {
		all.add(testpeer.SendOpenSSL(t, addr, testpeer.OpenSSLOptions{Handshake: h, SessionFile: session}))
	}
	return all
}

func sendGnuTLS(t *testing.T, addr string, h testpeer.Handshake) outcome {
	var all outcome
	all.add(testpeer.SendGnuTLS(t, addr, testpeer.GnuTLSOptions{Handshake: h}))
	return all
}

func sendSwaks(t *testing.T, addr string, h testpeer.Handshake) outcome {
	var all outcome
	all.add(testpeer.SendSwaks(t, addr, testpeer.SwaksOptions{Handshake: h}))
	return all
}

// add counts one message, and shows what the client printed if it failed.
func (o *outcome) add(d testpeer.Delivery) {
	if d.Delivered {
		o.sent++
	}
	if d.Delivered && d.Resumed {
		o.resumed++
	}
}

func sendPostfix(t *testing.T, addr string, h testpeer.Handshake) outcome {
	run := testpeer.SendPostfix(t, addr, testpeer.QueueOptions{Messages: queueLength, Handshake: h})
	return outcome{run.Sent, run.Resumed}
}

func sendExim(t *testing.T, addr string, h testpeer.Handshake) outcome {
	run := testpeer.SendExim(t, addr, testpeer.QueueOptions{Messages: queueLength, Handshake: h})
	return outcome{run.Sent, run.Resumed}
}

// sendGo is crypto/tls. It never needs a HelloRetryRequest from its own kind,
// and its signature algorithms for TLS 1.3 cannot be chosen.
func sendGo(t *testing.T, addr string, h testpeer.Handshake) outcome {
	config := testsmtp.OpportunisticTLS()
	if h == testpeer.TLS12Handshake {
		config.MaxVersion = tls.VersionTLS12
	}
	var all outcome
	for i := range 2 {
		c, err := testsmtp.DialTLS(addr, "", config)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := c.Deliver(newLetter(fmt.Sprintf("from Go, %d", i), 0))
		if err != nil {
			t.Fatal(err)
		}
		all.add(testpeer.Delivery{Delivered: reply.Code == 250, Resumed: c.TLS().DidResume})
		c.Close()
	}
	return all
}
