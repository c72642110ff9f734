package persona_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

func TestResultHasRepliesAndTLSState(t *testing.T) {
	s := newServer(t)
	v := find(t, "healthy-go").Run(t.Context(), target(s.start(t)))
	if v.TLS == nil || v.TLS.Version != tls.VersionTLS13 || len(v.TLS.PeerCertificates) != 1 || v.TLS.DidResume {
		t.Errorf("negotiated %+v", v.TLS)
	}
	if got := strings.Join(v.Greeting, "|"); got != "220 mx.test ESMTP" {
		t.Errorf("greeting %q", got)
	}
	if got := strings.Join(v.EHLO, "|"); got != "250-mx.test|250-PIPELINING|250 STARTTLS" {
		t.Errorf("EHLO %q", got)
	}
	if got := strings.Join(v.SecureEHLO, "|"); got != "250-mx.test|250-PIPELINING|250 STARTTLS" {
		t.Errorf("EHLO over TLS %q", got)
	}
	if got := s.heard(); got != "EHLO sender.test, STARTTLS, EHLO sender.test, QUIT" {
		t.Errorf("the server heard %s", got)
	}
}

func TestClientWithoutNameSendsAddressLiteral(t *testing.T) {
	s := newServer(t)
	v := find(t, "healthy-go").Run(t.Context(), persona.Target{Addr: s.start(t)})
	if heard := s.heard(); !v.Completed || !strings.HasPrefix(heard, "EHLO [127.0.0.1], STARTTLS") {
		t.Errorf("completed %v, the server heard %s: %v", v.Completed, heard, v.Err)
	}
}

// The client has the keys, so no message type has to be inferred.
func TestTranscriptIsDecrypted(t *testing.T) {
	s := newServer(t)
	for _, id := range []string{"healthy-go", "healthy-openssl"} {
		v := find(t, id).Run(t.Context(), target(s.start(t)))
		var ticket *handshake.Ticket
		for _, m := range v.Transcript.Messages {
			if m.Encrypted && m.Inferred {
				t.Errorf("%s: %v was inferred", id, m.Type)
			}
			if m.Type == handshake.TypeNewSessionTicket {
				ticket = m.Ticket
			}
		}
		if ticket == nil {
			t.Errorf("%s: the ticket was not decrypted", id)
		}
		if v.Transcript.Use != handshake.UseData || !v.Transcript.Completed {
			t.Errorf("%s: completed %v, %v", id, v.Transcript.Completed, v.Transcript.Use)
		}
	}
}

func TestResume(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	s := &server{config: &tls.Config{Certificates: []tls.Certificate{pair.TLS}}}
	s.config.SetSessionTicketKeys([][32]byte{{1}})
	one, two := target(s.start(t)), target(s.start(t))
	openSSL := target(testpeer.StartPostfix(t, testpeer.PostfixOptions{Cert: pair}).Addr)
	for _, id := range []string{"healthy-go", "healthy-openssl", "healthy-gnutls", "healthy-schannel", "early-ticket", "tls12-only", "big-hello-split"} {
		for _, way := range []struct {
			name     string
			from, to persona.Target
		}{{"the same server", one, one}, {"another with the same keys", one, two}, {"OpenSSL", openSSL, openSSL}} {
			p := find(t, id)
			v := p.Run(t.Context(), way.from)
			again := p.Resume(t.Context(), way.to, v)
			if !v.Resumable() || again.TLS == nil || !again.TLS.DidResume || !again.Completed {
				t.Errorf("%s at %s: %v, then %v, %+v", id, way.name, v.Err, again.Err, again.TLS)
			}
		}
	}
}

func TestResumeWithoutSessionDoesFullHandshake(t *testing.T) {
	s := newServer(t)
	s.config.SessionTicketsDisabled = true
	p, at := find(t, "healthy-go"), target(s.start(t))
	v := p.Run(t.Context(), at)
	again := p.Resume(t.Context(), at, v)
	if v.Resumable() || !again.Completed || again.TLS.DidResume {
		t.Errorf("resumable %v, then completed %v, %+v", v.Resumable(), again.Completed, again.TLS)
	}
	if v := p.Resume(t.Context(), at, new(persona.Result)); !v.Completed {
		t.Errorf("after an empty result: %v", v.Err)
	}
}

func TestImplicitTLS(t *testing.T) {
	s := newServer(t)
	s.implicit = true
	at := target(s.start(t))
	at.Protocol = persona.SMTPS
	connections := 0
	at.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		connections++
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	for _, p := range persona.All() {
		if p.Case != "certificate-refused" {
			connections = 0
			checkRun(t, p.ID, p.Run(t.Context(), at), matrix[p.ID].ownWrite)
			if connections != 1 {
				t.Errorf("%s connected %d times, and there is no plaintext to fall back to", p.ID, connections)
			}
		}
	}
}

func TestFallsBackToPlaintext(t *testing.T) {
	s := newServer(t)
	at := target(s.start(t))
	at.Deliver = &persona.TestMessage{From: "sender@sender.test", To: "user@localhost"}
	v := find(t, "falls-back-to-plaintext").Run(t.Context(), at)
	if v.Completed || v.Err == nil || !v.Plaintext || !v.Delivered || len(s.messages) != 1 {
		t.Errorf("completed %v, plaintext %v, delivered %v, %d messages: %v", v.Completed, v.Plaintext, v.Delivered, len(s.messages), v.Err)
	}
	if v.Transcript == nil || v.Transcript.Completed {
		t.Error("the failed handshake has no transcript")
	}
	if v := find(t, "tls10-only").Run(t.Context(), at); v.Plaintext || v.Delivered || len(s.messages) != 1 {
		t.Errorf("tls10-only fell back: %+v", v)
	}
}

func TestStageIsWhereTheRunFailed(t *testing.T) {
	down := errors.New("connection refused")
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, down }
	v := find(t, "healthy-go").Run(t.Context(), persona.Target{Addr: "mx.test:25", Dial: refuse})
	if !errors.Is(v.Err, down) || v.Stage != persona.AtConnect || v.Transcript != nil {
		t.Errorf("without a server: %v at %v", v.Err, v.Stage)
	}
	for _, tt := range []struct {
		replies []string
		stage   persona.Stage
		want    string
	}{
		{nil, persona.AtGreeting, "closed the connection"},
		{[]string{"554 no mail here\r\n"}, persona.AtGreeting, `the server greeted with "554 no mail here"`},
		{[]string{"220 hi\r\n", "500 what?\r\n"}, persona.AtEHLO, `the server answered EHLO with "500 what?"`},
		{[]string{"220 hi\r\n", "250-me\r\n250 SIZE\r\n"}, persona.AtEHLO, "does not offer TLS"},
		{[]string{"220 hi\r\n", "250-me\r\n250 XXXXXXXA\r\n"}, persona.AtEHLO, "does not offer TLS"},
		{[]string{"220 hi\r\n", "250 starttls\r\n", "454 \x1b[31mnot now\r\n"}, persona.AtSTARTTLS, `answered STARTTLS with "454 \x1b[31mnot now"`},
		{[]string{"220 hi\r\n", "250 STARTTLS\r\n", "220 go\r\n220 more"}, persona.AtSTARTTLS, "in plaintext after its reply"},
	} {
		v := find(t, "healthy-go").Run(t.Context(), replying(tt.replies...))
		if v.Completed || v.Stage != tt.stage || v.Err == nil || !strings.Contains(v.Err.Error(), tt.want) {
			t.Errorf("%q: %v at %v, want %q at %v", tt.replies, v.Err, v.Stage, tt.want, tt.stage)
		}
	}
}

// A mailboxServer is an IMAP or POP3 server, as its replies by command.
type mailboxServer struct {
	greeting string
	replies  map[string]string
	start    string
}

var imap = mailboxServer{
	greeting: "* OK [CAPABILITY IMAP4rev2 STARTTLS] hello\r\n",
	replies: map[string]string{
		"p1 CAPABILITY": "* CAPABILITY IMAP4rev2 STARTTLS\r\np1 OK done\r\n",
		"p2 STARTTLS":   "p2 OK go ahead\r\n",
		"p0 NOOP":       "p0 OK done\r\n",
		"p3 LOGOUT":     "* BYE\r\np3 OK done\r\n",
	},
	start: "p2 STARTTLS",
}

var pop3 = mailboxServer{
	greeting: "+OK hello\r\n",
	replies: map[string]string{
		"CAPA": "+OK capabilities\r\nSTLS\r\nUSER\r\n.\r\n",
		"STLS": "+OK go ahead\r\n",
		"QUIT": "+OK bye\r\n",
	},
	start: "STLS",
}

// server serves a connection; with trusting, it executes plaintext commands behind start.
func (m mailboxServer) server(config *tls.Config, trusting bool) func(net.Conn) {
	return func(conn net.Conn) {
		in := bufio.NewReader(conn)
		io.WriteString(conn, m.greeting)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			command := strings.TrimSpace(line)
			io.WriteString(conn, m.replies[command])
			if command == m.start {
				conn, in = secured(conn, in, config, trusting)
			}
		}
	}
}

func TestMailboxServers(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{testcert.New(t, testcert.Options{}).TLS}}
	for protocol, m := range map[persona.Protocol]mailboxServer{persona.IMAP: imap, persona.POP3: pop3} {
		at := target(listen(t, m.server(config, false)))
		at.Protocol = protocol
		at.Deliver = &persona.TestMessage{To: "user@localhost"} // which they do not accept
		for _, p := range persona.All() {
			if p.Case != "certificate-refused" {
				checkRun(t, p.ID, p.Run(t.Context(), at), matrix[p.ID].stock)
			}
		}
		at.Addr = listen(t, m.server(config, true))
		if v := find(t, "plaintext-after-starttls").Run(t.Context(), at); !v.Completed || !v.Injected {
			t.Errorf("%v: completed %v, injected %v: %v", m.start, v.Completed, v.Injected, v.Err)
		}
	}
}

func TestMailboxServersWithImplicitTLS(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{testcert.New(t, testcert.Options{}).TLS}}
	for protocol, m := range map[persona.Protocol]mailboxServer{persona.IMAPS: imap, persona.POP3S: pop3} {
		talk := m.server(nil, false)
		at := target(listen(t, func(conn net.Conn) { talk(tls.Server(conn, config)) }))
		at.Protocol = protocol
		at.Deliver = &persona.TestMessage{To: "user@localhost"} // which they do not accept
		for _, id := range []string{"healthy-go", "early-ticket", "tls12-only", "plaintext-after-starttls"} {
			v := find(t, id).Run(t.Context(), at)
			if in := id != "early-ticket"; v.Completed != in || v.Injected || v.Delivered || v.Greeting == nil && in {
				t.Errorf("%s: %+v", id, v)
			}
		}
	}
}

func TestMailboxServerWithoutTLS(t *testing.T) {
	for _, tt := range []struct {
		protocol persona.Protocol
		replies  []string
		want     string
	}{
		{persona.IMAP, []string{"* OK hi\r\n", "* CAPABILITY IMAP4rev2\r\np1 OK\r\n"}, "does not offer TLS"},
		{persona.IMAP, []string{"* BYE full\r\n"}, `greeted with "* BYE full"`},
		{persona.IMAP, []string{"* OK hi\r\n", "* CAPABILITY STARTTLS\r\np1 OK\r\n", "p2 NO\r\n"}, `answered STARTTLS with "p2 NO"`},
		{persona.POP3, []string{"+OK hi\r\n", "+OK\r\nUSER\r\n.\r\n"}, "does not offer TLS"},
		{persona.POP3, []string{"+OK hi\r\n", "-ERR what?\r\n"}, `answered CAPA with "-ERR what?"`},
	} {
		at := replying(tt.replies...)
		at.Protocol = tt.protocol
		v := find(t, "healthy-go").Run(t.Context(), at)
		if v.Completed || v.Err == nil || !strings.Contains(v.Err.Error(), tt.want) {
			t.Errorf("%q: %v, want %q", tt.replies, v.Err, tt.want)
		}
	}
}

func TestPlaintextCommandBehindSTARTTLS(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(*server)
		in       bool
		executed bool
	}{
		{"discarded", func(*server) {}, true, false},
		{"refused", func(s *server) { s.refuses = true }, false, false},
		{"executed over TLS", func(s *server) { s.trusts = true }, true, true},
		{"answered in plaintext", func(s *server) { s.eager = true }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			tt.change(s)
			v := find(t, "plaintext-after-starttls").Run(t.Context(), target(s.start(t)))
			if v.Completed != tt.in || v.Injected != tt.executed {
				t.Errorf("completed %v, injected %v, want %v, %v: %v", v.Completed, v.Injected, tt.in, tt.executed, v.Err)
			}
			if executed := strings.Contains(s.heard(), "NOOP"); tt.name == "executed over TLS" && !executed || tt.in && executed != tt.executed {
				t.Errorf("the server heard %s", s.heard())
			}
		})
	}
}

// The reply may arrive only after the client has sent its ClientHello.
func TestPlaintextReplyDuringHandshake(t *testing.T) {
	for answer, executed := range map[string]bool{"250 2.0.0 done\r\n": true, "502 5.5.1 what?\r\n": false} {
		at := target(listen(t, func(conn net.Conn) {
			in := bufio.NewReader(conn)
			for _, reply := range []string{"220 hi\r\n", "250 STARTTLS\r\n", "220 go ahead\r\n", ""} {
				io.WriteString(conn, reply)
				in.ReadString('\n')
			}
			in.ReadByte() // of the ClientHello
			io.WriteString(conn, answer)
			io.Copy(io.Discard, in)
		}))
		if v := find(t, "plaintext-after-starttls").Run(t.Context(), at); v.Completed || v.Injected != executed {
			t.Errorf("%q: completed %v, injected %v, want %v: %v", answer, v.Completed, v.Injected, executed, v.Err)
		}
	}
}
