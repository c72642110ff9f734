package smtpd

import (
	"net"
	"strings"
	"testing"

	"postern/internal/probekey"
	"postern/internal/smtp"
	"postern/internal/testsmtp"
)

// greeted is a client that has read the greeting, and the session that this names.
func (s *testServer) greeted(t *testing.T) (c *testsmtp.Client, session string) {
	t.Helper()
	c, err := testsmtp.Connect(s.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	line, err := c.In.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	session, ok := probekey.Session(strings.TrimSpace(line))
	if !ok {
		t.Fatalf("no session in %q", line)
	}
	return c, session
}

func ask(t *testing.T, c *testsmtp.Client, line string) smtp.Reply {
	t.Helper()
	reply, err := c.Ask(line + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func keyed(key probekey.Key) func(*Settings, *memoryHop) {
	return func(s *Settings, _ *memoryHop) { s.ProbeKey = key }
}

// It remains a probe, whatever it sends later: no mail is delivered without a trace.
func TestProbeIsRecognisedAndDeliversNothing(t *testing.T) {
	key := probekey.New()
	s := startServer(t, keyed(key))
	c, session := s.greeted(t)
	if reply := ask(t, c, "EHLO "+key.EHLO("early-ticket", session)); !probekey.Welcomed(reply.Lines) {
		t.Errorf("the reply is %v", reply)
	}
	if reply := ask(t, c, "MAIL FROM:<a@sender.example>"); reply.String() != "550 5.7.1 a probe delivers no mail" {
		t.Errorf("a probe's MAIL: %v", reply)
	}
	ask(t, c, "EHLO sender.example")
	if err := c.StartTLS(testsmtp.OpportunisticTLS()); err != nil {
		t.Fatal(err)
	}
	if reply := ask(t, c, "MAIL FROM:<a@sender.example>"); reply.Code != 550 {
		t.Errorf("its MAIL under another name, over TLS: %v", reply)
	}
	ask(t, c, "QUIT")
	if r := s.result(); !r.Probe || len(s.hop.taken()) > 0 {
		t.Errorf("the result is %+v", r)
	}
}

// The token is the session's, so it is not kept.
func TestProbeHasAShortName(t *testing.T) {
	key := probekey.New()
	s := startServer(t, keyed(key))
	c, session := s.greeted(t)
	ask(t, c, "EHLO "+key.EHLO("early-ticket", session))
	ask(t, c, "QUIT")
	if r := s.result(); r.EHLO != "early-ticket.probe.invalid" {
		t.Errorf("its name is %q", r.EHLO)
	}
}

func TestForgedProbesAreSenders(t *testing.T) {
	key := probekey.New()
	s := startServer(t, keyed(key))
	for why, name := range map[string]func(session string) string{
		"no token":        func(string) string { return "early-ticket.probe.invalid" },
		"another key":     func(session string) string { return probekey.New().EHLO("early-ticket", session) },
		"another session": func(string) string { return key.EHLO("early-ticket", "AAAAAAAAAA") },
	} {
		c, session := s.greeted(t)
		name := name(session)
		if reply := ask(t, c, "EHLO "+name); probekey.Welcomed(reply.Lines) {
			t.Errorf("%s: the reply is %v", why, reply)
		}
		if reply := ask(t, c, "MAIL FROM:<a@sender.example>"); reply.Code != 250 {
			t.Errorf("%s: MAIL: %v", why, reply)
		}
		ask(t, c, "QUIT")
		if r := s.result(); r.Probe || r.EHLO != name {
			t.Errorf("%s: the result is %+v", why, r)
		}
	}
}

// A session that has delivered stays a sender's.
func TestSenderDoesNotBecomeAProbe(t *testing.T) {
	key := probekey.New()
	s := startServer(t, keyed(key))
	c, session := s.greeted(t)
	ask(t, c, "EHLO sender.example")
	if _, err := c.Deliver(testsmtp.Message{From: "a@sender.example", To: []string{"b@example.org"}, Text: "Subject: x\r\n\r\n"}); err != nil {
		t.Fatal(err)
	}
	ask(t, c, "EHLO "+key.EHLO("early-ticket", session))
	ask(t, c, "QUIT")
	if r := s.result(); r.Probe || r.Messages != 1 {
		t.Errorf("the result is %+v", r)
	}
}

// The name comes over TLS then, since there is no greeting before it.
func TestProbeWithImplicitTLS(t *testing.T) {
	key := probekey.New()
	s := startServer(t, keyed(key))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.ServeTLS(ln)
	c, err := testsmtp.Connect(ln.Addr().String(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Handshake(testsmtp.OpportunisticTLS()); err != nil {
		t.Fatal(err)
	}
	line, err := c.In.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	session, _ := probekey.Session(strings.TrimSpace(line))
	ask(t, c, "EHLO "+key.EHLO("early-ticket", session))
	ask(t, c, "QUIT")
	if r := s.result(); !r.Probe {
		t.Errorf("the result is %+v", r)
	}
}
