package testpeer_test

import (
	"strings"
	"testing"

	"postern/internal/smtp"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/testsmtp"
)

// checkQueueArrived checks that every one of n numbered messages arrived once.
func checkQueueArrived(t *testing.T, messages []string, n int) {
	t.Helper()
	seen := make(map[string]int)
	for _, text := range messages {
		_, after, _ := strings.Cut(text, "X-Number: ")
		number, _, _ := strings.Cut(after, "\n")
		seen[strings.TrimSpace(number)]++
	}
	if len(messages) != n || len(seen) != n {
		t.Errorf("%d messages with %d numbers arrived, want %d: %v", len(messages), len(seen), n, seen)
	}
}

func TestPostfixDeliversIntoPostfixAndResumes(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: testcert.New(t, testcert.Options{})})
	const n = 20
	run := testpeer.SendPostfix(t, backend.Addr, testpeer.QueueOptions{
		Messages: n, Config: []string{"smtp_destination_concurrency_limit = 1"},
	})
	if run.Sent != n || run.Resumed != n-1 {
		t.Errorf("sent %d and resumed %d, want %d and %d:\n%s", run.Sent, run.Resumed, n, n-1, run.Log)
	}
	checkQueueArrived(t, backend.AwaitMessages(t, n), n)
	backend.AwaitLog(t, "TLS connection established from")
}

func TestPostfixSendsByEachHandshake(t *testing.T) {
	for _, h := range testpeer.Handshakes {
		t.Run(h.String(), func(t *testing.T) {
			s := startServer(t)
			run := testpeer.SendPostfix(t, s.addr, testpeer.QueueOptions{Messages: 2, Handshake: h})
			if run.Sent != 2 {
				t.Fatalf("sent %d, want 2:\n%s", run.Sent, run.Log)
			}
			checkHandshake(t, s, h)
			checkQueueArrived(t, s.messages, 2)
		})
	}
}

func TestPostfixSenderCountsRefusals(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{
		Cert: testcert.New(t, testcert.Options{}), Users: []string{"user@localhost"},
	})
	run := testpeer.SendPostfix(t, backend.Addr, testpeer.QueueOptions{
		Messages: 2, Message: testpeer.Message{To: "nobody@localhost"},
	})
	if run.Sent != 0 || run.Bounced != 2 {
		t.Errorf("sent %d, bounced %d, want 0 and 2:\n%s", run.Sent, run.Bounced, run.Log)
	}
	if n := backend.Maildir.Count(t); n != 0 {
		t.Errorf("%d messages in the Maildir, want none", n)
	}
}

// script connects, sends first unchanged, and after the greeting each line, waiting for its
// reply. It returns the last reply.
func script(t *testing.T, addr, first string, lines ...string) smtp.Reply {
	t.Helper()
	c, err := testsmtp.Connect(addr, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	reply, err := c.Ask(first)
	for _, line := range lines {
		if err == nil {
			reply, err = c.Ask(line + "\r\n")
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestPostfixTakesXCLIENT(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{XCLIENT: true})
	reply := script(t, backend.Addr, "", "EHLO front.test", "XCLIENT ADDR=192.0.2.7 HELO=sender.test")
	if reply.Code != 220 {
		t.Errorf("XCLIENT answered %s, want 220", reply)
	}
	backend.AwaitLog(t, "connect from unknown[192.0.2.7]")
}

func TestPostfixWithoutXCLIENTRefusesIt(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{})
	reply := script(t, backend.Addr, "", "EHLO front.test", "XCLIENT ADDR=192.0.2.7 HELO=sender.test")
	if reply.Code != 550 {
		t.Errorf("XCLIENT answered %s, want 550", reply)
	}
}

func TestPostfixTakesPROXYv2(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{
		Service: "inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy",
	})
	// The PROXY protocol, version 2, Section 2.2: TCP over IPv4 from 192.0.2.8:4660 to 127.0.0.1:25.
	header := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\x7f\x00\x00\x01\x12\x34\x00\x19"
	script(t, backend.ServiceAddr, header, "QUIT")
	backend.AwaitLog(t, "connect from unknown[192.0.2.8]")
}

// sendPlain delivers n messages over one connection without TLS.
func sendPlain(t *testing.T, addr string, n int) {
	t.Helper()
	c, err := testsmtp.Dial(addr, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello(); err != nil {
		t.Fatal(err)
	}
	message := testsmtp.Message{From: "sender@sender.test", To: []string{"user@localhost"}, Text: "Subject: plain\r\n\r\nHello.\r\n"}
	for range n {
		if reply, err := c.Deliver(message); err != nil || !reply.Positive() {
			t.Fatalf("message: %s, %v", reply, err)
		}
	}
	if err := c.Commands("QUIT"); err != nil {
		t.Fatal(err)
	}
}

func TestSMTPSinkCounts(t *testing.T) {
	sink := testpeer.StartSMTPSink(t)
	if n := sink.Messages(); n != 0 {
		t.Errorf("%d messages before the first, want 0", n)
	}
	sendPlain(t, sink.Addr, 3)
	if n := sink.Messages(); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
}
