package smtpd

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/nexthop"
	"postern/internal/smtp"
	"postern/internal/testcert"
	"postern/internal/testsmtp"
)

// A memoryHop keeps the messages. Its reply to each step can be set.
type memoryHop struct {
	can smtp.Extensions

	mu       sync.Mutex
	messages []message
	steps    []string
	replies  map[string]smtp.Reply // by step, "MAIL" ... "Send", or "RCPT mailbox"
	senders  []nexthop.Sender
	early    bool   // Send answers without reading
	panics   string // the step that does
}

type message struct {
	mail smtp.Mail
	to   []string
	text string
}

func (h *memoryHop) Extensions() smtp.Extensions { return h.can }

func (h *memoryHop) Open(sender nexthop.Sender) nexthop.Session {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.senders = append(h.senders, sender)
	return &memorySession{hop: h}
}

func (h *memoryHop) step(name string, reply smtp.Reply) smtp.Reply {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.steps = append(h.steps, name)
	if name == h.panics {
		panic("a fault of the hop's")
	}
	if set, ok := h.replies[name]; ok {
		return set
	}
	return reply
}

func (h *memoryHop) taken() []message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.messages
}

type memorySession struct {
	hop *memoryHop
	now message
}

func (s *memorySession) Mail(mail smtp.Mail) nexthop.Answer {
	s.now = message{mail: mail}
	return func() smtp.Reply { return s.hop.step("MAIL", smtp.NewReply(250, "2.1.0", "sender taken")) }
}

func (s *memorySession) Rcpt(rcpt smtp.Recipient) nexthop.Answer {
	s.now.to = append(s.now.to, rcpt.To)
	return func() smtp.Reply {
		reply := s.hop.step("RCPT", smtp.NewReply(250, "2.1.5", "recipient taken"))
		if set, ok := s.hop.replies["RCPT "+rcpt.To]; ok {
			return set
		}
		return reply
	}
}

func (s *memorySession) Data() nexthop.Answer {
	return func() smtp.Reply { return s.hop.step("DATA", smtp.Reply{Code: 354, Lines: []string{"go on"}}) }
}

func (s *memorySession) Send(r io.Reader) smtp.Reply {
	if s.hop.early {
		return s.hop.step("Send", smtp.NewReply(452, "4.3.1", "disk full"))
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return smtp.NewReply(451, "4.3.0", "broken off")
	}
	reply := s.hop.step("Send", smtp.NewReply(250, "2.0.0", "stored"))
	if reply.Positive() {
		s.now.text = string(text)
		s.hop.mu.Lock()
		s.hop.messages = append(s.hop.messages, s.now)
		s.hop.mu.Unlock()
	}
	return reply
}

func (s *memorySession) Reset() { s.hop.step("Reset", smtp.Reply{}) }
func (s *memorySession) Close() { s.hop.step("Close", smtp.Reply{}) }

// testServer is a server on loopback for example.org and bücher.example.
type testServer struct {
	*Server
	addr     string
	hop      *memoryHop
	cert     *testcert.Pair
	observed *testObserver
}

func startServer(t *testing.T, change func(*Settings, *memoryHop)) *testServer {
	t.Helper()
	cert := testcert.New(t, testcert.Options{Names: []string{"mx.example.org"}})
	settings := Settings{
		Hostname: "mx.example.org",
		Domains:  []string{"example.org", "bücher.example"},
		TLS:      &tls.Config{Certificates: []tls.Certificate{cert.TLS}},
	}
	hop := &memoryHop{can: smtp.Extensions{EightBitMIME: true, SMTPUTF8: true, DSN: true, RequireTLS: true}}
	if change != nil {
		change(&settings, hop)
	}
	observer := newTestObserver()
	server := New(settings, hop, observer, slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		server.drain()
		server.closeAll()
		server.running.Wait()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return &testServer{Server: server, addr: ln.Addr().String(), hop: hop, cert: cert, observed: observer}
}

// A client speaks a dialogue.
type client struct {
	*testsmtp.Client
	t *testing.T
}

func (s *testServer) dial(t *testing.T) *client {
	t.Helper()
	c, err := testsmtp.Connect(s.addr, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.Conn.SetDeadline(time.Now().Add(time.Minute))
	return &client{c, t}
}

// play speaks a dialogue: lines "> text" are sent, each with CRLF, those
// without a reply between them in one write; "< pattern" is a reply in one
// line, its pattern as of path.Match; "TLS" is a handshake; "CLOSED" expects
// the end of the connection. In what is sent, \n and \r stand for themselves
// if written as escapes, and "\-" at the end leaves the CRLF out.
func (c *client) play(dialogue string) {
	c.t.Helper()
	var out strings.Builder
	for line := range strings.Lines(dialogue) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, ">"); ok {
			out.WriteString(spell(strings.TrimPrefix(text, " ")))
			continue
		}
		c.send(out.String())
		out.Reset()
		switch {
		case strings.HasPrefix(line, "< "):
			c.expect(line[2:])
		case line == "TLS":
			c.handshake(&tls.Config{InsecureSkipVerify: true})
		case line == "CLOSED":
			c.closed()
		case line != "":
			c.t.Fatalf("dialogue: unknown step %q", line)
		}
	}
	c.send(out.String())
}

func spell(text string) string {
	text, cut := strings.CutSuffix(text, `\-`)
	text = strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\0`, "\x00").Replace(text)
	if cut {
		return text
	}
	return text + "\r\n"
}

func (c *client) send(text string) {
	c.t.Helper()
	if text == "" {
		return
	}
	if err := c.Send(text); err != nil {
		c.t.Fatalf("sending %.80q: %v", text, err)
	}
}

func (c *client) reply() smtp.Reply {
	c.t.Helper()
	reply, err := c.Reply()
	if err != nil {
		c.t.Fatalf("no reply: %v", err)
	}
	return reply
}

func (c *client) expect(pattern string) {
	c.t.Helper()
	reply := c.reply()
	// path.Match, where * does not cross a slash.
	text := strings.ReplaceAll(reply.String(), "/", "|")
	if ok, err := path.Match(strings.ReplaceAll(pattern, "/", "|"), text); err != nil || !ok {
		c.t.Fatalf("reply %q, want %q (%v)", reply, pattern, err)
	}
}

func (c *client) handshake(config *tls.Config) {
	c.t.Helper()
	if err := c.Handshake(config); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) closed() {
	c.t.Helper()
	if err := c.ExpectEnd(); err != nil {
		c.t.Fatal(err)
	}
	c.Conn.Close()
}
