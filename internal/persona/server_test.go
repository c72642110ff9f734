package persona_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/persona"
	"postern/internal/tlsrecord"
	"postern/sessionticket"
)

// A server is a mail server on crypto/tls over the gate. In mode Stock it does what
// crypto/tls does.
type server struct {
	config *tls.Config
	mode   sessionticket.Mode

	implicit bool // TLS from the first byte
	trusts   bool // executes plaintext commands behind STARTTLS over TLS
	eager    bool // answers them in plaintext
	refuses  bool // refuses STARTTLS if something follows it
	flushes  bool // sends the last record of each write in a segment of its own

	noRecipients bool

	mu       sync.Mutex
	commands []string // all that were executed
	messages []string
}

// start serves until the test ends, and returns the address.
func (s *server) start(t *testing.T) string {
	gate := &sessionticket.Gate{Mode: s.mode}
	return listen(t, func(conn net.Conn) { s.serve(gate.Conn(conn), gate.Config(s.config)) })
}

// listen serves each connection until the test ends, and returns the address.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() { serveEach(listener, serve) })
	t.Cleanup(func() { listener.Close(); served.Wait() })
	return listener.Addr().String()
}

// serveEach serves until the listener is closed and each connection has ended.
func serveEach(listener net.Listener, serve func(net.Conn)) {
	var open sync.WaitGroup
	defer open.Wait()
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		conn.SetDeadline(time.Now().Add(time.Minute))
		open.Go(func() { defer conn.Close(); serve(conn) })
	}
}

func (s *server) serve(conn net.Conn, config *tls.Config) {
	if s.flushes {
		conn = &flushingConn{conn}
	}
	if s.implicit {
		conn = tls.Server(conn, config)
	}
	in := bufio.NewReader(conn)
	say := func(lines ...string) { io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n") }
	say("220 mx.test ESMTP")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		command := strings.TrimSpace(line)
		s.note(command)
		switch verb, _, _ := strings.Cut(strings.ToUpper(command), " "); verb {
		case "EHLO":
			say("250-mx.test", "250-PIPELINING", "250 STARTTLS")
		case "STARTTLS":
			if s.refuses && in.Buffered() > 0 {
				say("554 5.5.1 nothing may follow STARTTLS")
				return
			}
			say("220 2.0.0 go ahead")
			if s.eager {
				say("250 2.0.0 done")
			}
			conn, in = secured(conn, in, config, s.trusts)
		case "RCPT":
			if s.noRecipients {
				say("550 5.1.1 nobody here")
				continue
			}
			say("250 2.1.5 fine")
		case "DATA":
			say("354 go on")
			s.take(in)
			say("250 2.0.0 taken")
		case "QUIT":
			say("221 2.0.0 bye")
			return
		default:
			say("250 2.0.0 done")
		}
	}
}

// secured starts TLS. With trusts, buffered plaintext is read as if it came over TLS.
func secured(conn net.Conn, in *bufio.Reader, config *tls.Config, trusts bool) (net.Conn, *bufio.Reader) {
	rest, _ := in.Peek(in.Buffered())
	secure := tls.Server(conn, config)
	if !trusts {
		rest = nil
	}
	return secure, bufio.NewReader(io.MultiReader(bytes.NewReader(rest), secure))
}

// A flushingConn sends the last TLS record of each write in a write of its own.
type flushingConn struct{ net.Conn }

func (c *flushingConn) NetConn() net.Conn { return c.Conn }

func (c *flushingConn) Write(b []byte) (int, error) {
	last := 0
	for rest := b; tlsrecord.Begins(rest); {
		n := tlsrecord.HeaderLen + tlsrecord.Length(rest)
		if n >= len(rest) {
			break
		}
		rest, last = rest[n:], last+n
	}
	if n, err := c.Conn.Write(b[:last]); err != nil {
		return n, err
	}
	n, err := c.Conn.Write(b[last:])
	return last + n, err
}

func (s *server) note(command string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, command)
}

func (s *server) take(in *bufio.Reader) {
	var text strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil || line == ".\r\n" {
			break
		}
		fmt.Fprint(&text, line)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, text.String())
}

// heard returns the commands so far.
func (s *server) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.commands, ", ")
}

// replying is a server that sends the first reply at once, each other after any line, and
// closes after the line that follows the last.
func replying(replies ...string) persona.Target {
	return serving(func(conn net.Conn) {
		heard := bufio.NewScanner(conn)
		for _, reply := range replies {
			io.WriteString(conn, reply)
			if !heard.Scan() {
				return
			}
		}
	})
}

// serving is a server that calls serve with its end of a connection, then closes it.
func serving(serve func(net.Conn)) persona.Target {
	at := target("mx.test:25")
	at.Dial = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { defer far.Close(); serve(far) }()
		return near, nil
	}
	return at
}

// A countedConn notes the lengths of the writes that carry a ClientHello: those between
// STARTTLS and the server's next bytes.
type countedConn struct {
	net.Conn
	tls   bool // TLS has started
	heard bool // the server has answered since
	hello []int
}

func (c *countedConn) dial(ctx context.Context, network, addr string) (_ net.Conn, err error) {
	c.Conn, err = new(net.Dialer).DialContext(ctx, network, addr)
	return c, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.tls = c.tls || b[0] == tlsrecord.Handshake
	if c.tls && !c.heard {
		c.hello = append(c.hello, len(b))
	}
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.heard = c.heard || c.tls
	return n, err
}
