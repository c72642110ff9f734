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

// An outcome is how many messages a client delivered, and how many of them over resumed
// TLS sessions.
type outcome struct{ sent, resumed int }

// A mailClient is a mail program, and the outcome that it must report at least.
type mailClient struct {
	name  string
	send  func(t *testing.T, addr string, h testpeer.Handshake) outcome
	sent  int
	least int // resumed
}

// queueLength is the number of messages in the queues of Postfix and Exim.
const queueLength = 100

var mailClients = []mailClient{
	{"OpenSSL", sendOpenSSL, 2, 1},
	{"GnuTLS", sendGnuTLS, 1, 1},
	{"swaks", sendSwaks, 1, 0}, // has no session cache
	{"Go", sendGo, 2, 1},
	// Postfix begins with 20 connections at once, none of which has a session yet.
	{"Postfix", sendPostfix, queueLength, queueLength / 2},
	{"Exim", sendExim, queueLength, queueLength - 1},
}

// Every client delivers, and resumes if it can, in each mode that holds the ticket back
// and with each kind of handshake.
func TestEveryClientDeliversAndResumes(t *testing.T) {
	for _, mode := range []string{"own-write", "first-write"} {
		for _, h := range testpeer.Handshakes {
			t.Run(mode+"/"+h.String(), func(t *testing.T) {
				p := start(t, append(bothKinds(t), "--mode", mode)...)
				for _, client := range mailClients {
					t.Run(client.name, func(t *testing.T) { client.run(t, p, h) })
				}
			})
		}
	}
}

// bothKinds returns the flags for an ECDSA and an RSA certificate.
func bothKinds(t *testing.T) []string {
	t.Helper()
	var flags []string
	for _, rsa := range []bool{false, true} {
		pair := testcert.New(t, testcert.Options{RSA: rsa})
		flags = append(flags, "--cert", pair.CertFile, "--key", pair.KeyFile)
	}
	return flags
}

// run delivers, and compares what the client reports with what Postern stored and
// logged.
func (s mailClient) run(t *testing.T, p *postern, h testpeer.Handshake) {
	before := p.log.length()
	said := s.send(t, p.addr, h)
	if said.sent != s.sent || said.resumed < s.least {
		t.Errorf("%d messages sent, %d of them over resumed sessions, want %d, and at least %d", said.sent, said.resumed, s.sent, s.least)
	}
	stored := outcome{}
	for _, message := range p.maildir().take(t) {
		stored.sent++
		if checkReceived(t, message, h) {
			stored.resumed++
		}
	}
	if stored != said {
		t.Errorf("%+v by the messages' Received fields, %+v by the client", stored, said)
	}
	checkLog(t, p, before, said)
}

// checkReceived checks a message's Received field and reports whether the session was
// resumed.
func checkReceived(t *testing.T, message stored, h testpeer.Handshake) bool {
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

// checkLog waits for the log lines of the sessions.
func checkLog(t *testing.T, p *postern, from int, said outcome) {
	t.Helper()
	if _, err := p.log.awaitLines(from, said.sent, "msg=session", "messages=1"); err != nil {
		t.Error(err)
		return
	}
	if _, n, _ := p.log.find(from, "msg=session", "messages=1", ` resumed"`); n != said.resumed {
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

// add counts one message.
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

// sendGo uses crypto/tls as a client. It never gets a HelloRetryRequest from a crypto/tls
// server, and its signature algorithms for TLS 1.3 cannot be configured.
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
		reply, err := c.Deliver(newMessage(fmt.Sprintf("from Go, %d", i), 0))
		if err != nil {
			t.Fatal(err)
		}
		all.add(testpeer.Delivery{Delivered: reply.Code == 250, Resumed: c.TLS().DidResume})
		c.Close()
	}
	return all
}
