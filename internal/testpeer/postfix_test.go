package testpeer_test

import (
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
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

// script connects, sends first as it is, and after the greeting each line,
// waiting for its reply. It returns the last reply.
func script(t *testing.T, network, addr, first string, lines ...string) string {
	t.Helper()
	raw, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	conn := textproto.NewConn(raw)
	defer conn.Close()
	if _, err := io.WriteString(raw, first); err != nil {
		t.Fatal(err)
	}
	reply := readReply(t, conn)
	for _, line := range lines {
		if err := conn.PrintfLine("%s", line); err != nil {
			t.Fatal(err)
		}
		reply = readReply(t, conn)
	}
	return reply
}

func readReply(t *testing.T, conn *textproto.Conn) string {
	t.Helper()
	code, text, err := conn.ReadResponse(0)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", code, text)
}

func TestPostfixTakesXCLIENT(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{XCLIENT: true})
	reply := script(t, "tcp", backend.Addr, "", "EHLO front.test", "XCLIENT ADDR=192.0.2.7 HELO=sender.test")
	if !strings.HasPrefix(reply, "220 ") {
		t.Errorf("XCLIENT answered %q, want 220", reply)
	}
	backend.AwaitLog(t, "connect from unknown[192.0.2.7]")
}

func TestPostfixWithoutXCLIENTRefusesIt(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{})
	reply := script(t, "tcp", backend.Addr, "", "EHLO front.test", "XCLIENT ADDR=192.0.2.7 HELO=sender.test")
	if !strings.HasPrefix(reply, "550 ") {
		t.Errorf("XCLIENT answered %q, want 550", reply)
	}
}

func TestPostfixTakesPROXYv2(t *testing.T) {
	backend := testpeer.StartPostfix(t, testpeer.PostfixOptions{
		Service: "inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy",
	})
	// The PROXY protocol, version 2, Section 2.2: TCP over IPv4 from 192.0.2.8:4660 to 127.0.0.1:25.
	header := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\x7f\x00\x00\x01\x12\x34\x00\x19"
	script(t, "tcp", backend.ServiceAddr, header, "QUIT")
	backend.AwaitLog(t, "connect from unknown[192.0.2.8]")
}

// sendPlain delivers n messages over one connection without TLS.
func sendPlain(t *testing.T, addr string, n int) {
	t.Helper()
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range n {
		if err := sendOne(c); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
}

func sendOne(c *smtp.Client) error {
	if err := c.Mail("sender@sender.test"); err != nil {
		return err
	}
	if err := c.Rcpt("user@localhost"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte("Subject: plain\r\n\r\nHello.\r\n")); err != nil {
		return err
	}
	return w.Close()
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
