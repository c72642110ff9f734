package capture_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/handshake"
	"postern/internal/testcert"
	"postern/sessionticket/strictclient"
)

// A flow notes what both ends of a connection in memory send, in order. Writes do not wait
// for the other end.
type flow struct {
	mu    sync.Mutex
	ready sync.Cond
	turns []turn
	sent  [handshake.Server + 1]bytes.Buffer // not yet read
	ended [handshake.Server + 1]bool
}

func newFlow() *flow {
	f := new(flow)
	f.ready.L = &f.mu
	return f
}

// A flowEnd is the conn of one side.
type flowEnd struct {
	*flow
	side handshake.Side
}

func (e flowEnd) other() handshake.Side { return handshake.Client + handshake.Server - e.side }

func (e flowEnd) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended[e.side] || e.ended[e.other()] {
		return 0, io.ErrClosedPipe
	}
	e.turns = append(e.turns, turn{from: e.side, data: bytes.Clone(b)})
	e.sent[e.side].Write(b)
	e.ready.Broadcast()
	return len(b), nil
}

func (e flowEnd) Read(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.sent[e.other()].Len() == 0 {
		if e.ended[e.other()] || e.ended[e.side] {
			return 0, io.EOF
		}
		e.ready.Wait()
	}
	return e.sent[e.other()].Read(b)
}

func (e flowEnd) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended[e.side] {
		e.ended[e.side] = true
		e.turns = append(e.turns, turn{from: e.side, fin: true})
		e.ready.Broadcast()
	}
	return nil
}

func (flowEnd) LocalAddr() net.Addr              { return nil }
func (flowEnd) RemoteAddr() net.Addr             { return nil }
func (flowEnd) SetDeadline(time.Time) error      { return nil }
func (flowEnd) SetReadDeadline(time.Time) error  { return nil }
func (flowEnd) SetWriteDeadline(time.Time) error { return nil }

// recordedFlow is a delivery of a message over STARTTLS, as far as it gets.
func recordedFlow(server, client *tls.Config, wrap func(net.Conn) net.Conn) (turns []turn, delivered bool) {
	f := newFlow()
	done := make(chan struct{})
	go func() {
		defer close(done)
		serveFlow(flowEnd{f, handshake.Server}, server)
	}()
	delivered = deliverFlow(flowEnd{f, handshake.Client}, client, wrap)
	<-done
	return f.turns, delivered
}

const flowMessage = "Subject: a message\r\n\r\n"

func serveFlow(conn net.Conn, config *tls.Config) {
	defer conn.Close()
	io.WriteString(conn, "220 mx.example.org\r\n")
	lines := bufio.NewReader(conn)
	lines.ReadString('\n')
	io.WriteString(conn, "250-mx.example.org\r\n250 STARTTLS\r\n")
	lines.ReadString('\n')
	io.WriteString(conn, "220 go ahead\r\n")
	secure := tls.Server(conn, config)
	defer secure.Close()
	lines = bufio.NewReader(secure)
	for {
		line, err := lines.ReadString('\n')
		switch {
		case err != nil:
			return
		case line == "DATA\r\n":
			io.WriteString(secure, "354 go on\r\n")
			io.CopyN(io.Discard, lines, int64(len(flowMessage)+3_000))
			io.WriteString(secure, "250 taken\r\n")
		case line == "QUIT\r\n":
			io.WriteString(secure, "221 bye\r\n")
			return
		default:
			io.WriteString(secure, "250 ok\r\n")
		}
	}
}

func deliverFlow(conn net.Conn, config *tls.Config, wrap func(net.Conn) net.Conn) bool {
	defer conn.Close()
	lines := bufio.NewReader(conn)
	lines.ReadString('\n')
	io.WriteString(conn, "EHLO sender.example\r\n")
	lines.ReadString('\n')
	lines.ReadString('\n')
	io.WriteString(conn, "STARTTLS\r\n")
	lines.ReadString('\n')
	secure := tls.Client(wrap(conn), config)
	defer secure.Close()
	if secure.Handshake() != nil {
		return false
	}
	lines = bufio.NewReader(secure)
	for _, command := range []string{"EHLO sender.example", "MAIL FROM:<a@sender.example>", "RCPT TO:<b@example.org>", "DATA", flowMessage + strings.Repeat("x", 2_998), "QUIT"} {
		io.WriteString(secure, command+"\r\n")
		if _, err := lines.ReadString('\n'); err != nil {
			return false
		}
	}
	return true
}

// recordedFlows are deliveries by crypto/tls, and attempts that fail.
func recordedFlows(t *testing.T) (healthy, failing map[string][]turn) {
	pair, rsa := testcert.New(t, testcert.Options{}), testcert.New(t, testcert.Options{RSA: true})
	stranger := testcert.New(t, testcert.Options{})
	plain := func(c net.Conn) net.Conn { return c }
	healthy, failing = make(map[string][]turn), make(map[string][]turn)
	for _, tt := range []struct {
		name   string
		change func(server, client *tls.Config)
		wrap   func(net.Conn) net.Conn
		fails  bool
	}{
		{name: "TLS 1.3"},
		{name: "TLS 1.3 without tickets", change: func(server, _ *tls.Config) { server.SessionTicketsDisabled = true }},
		{name: "TLS 1.3 with another group", change: func(server, _ *tls.Config) { server.CurvePreferences = []tls.CurveID{tls.CurveP384} }},
		{name: "TLS 1.3 with a client certificate", change: func(server, client *tls.Config) {
			server.ClientAuth, client.Certificates = tls.RequireAnyClientCert, []tls.Certificate{stranger.TLS}
		}},
		{name: "TLS 1.2", change: func(server, _ *tls.Config) { server.MaxVersion = tls.VersionTLS12 }},
		{name: "TLS 1.2 with a client certificate", change: func(server, client *tls.Config) {
			server.MaxVersion = tls.VersionTLS12
			server.ClientAuth, client.Certificates = tls.RequireAnyClientCert, []tls.Certificate{stranger.TLS}
		}},
		{name: "TLS 1.2 with CBC", change: func(server, client *tls.Config) {
			server.MaxVersion, server.Certificates, client.RootCAs = tls.VersionTLS12, []tls.Certificate{rsa.TLS}, rsa.Pool
			client.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}
		}},
		{name: "TLS 1.3, certificate refused", fails: true, change: func(_, client *tls.Config) { client.RootCAs = stranger.Pool }},
		{name: "TLS 1.2, certificate refused", fails: true, change: func(_, client *tls.Config) {
			client.RootCAs, client.MaxVersion = stranger.Pool, tls.VersionTLS12
		}},
		{name: "TLS 1.3, no client certificate", fails: true, change: func(server, _ *tls.Config) { server.ClientAuth = tls.RequireAnyClientCert }},
		{name: "TLS 1.2, no client certificate", fails: true, change: func(server, client *tls.Config) {
			server.ClientAuth, client.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
		}},
		{name: "no shared version", fails: true, change: func(server, client *tls.Config) {
			server.MinVersion, client.MaxVersion = tls.VersionTLS13, tls.VersionTLS12
		}},
		{name: "early ticket refused", fails: true, wrap: func(c net.Conn) net.Conn { return strictclient.New(c) }},
	} {
		server := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
		client := clientConfig(pair)
		if tt.change != nil {
			tt.change(server, client)
		}
		if tt.wrap == nil {
			tt.wrap = plain
		}
		turns, delivered := recordedFlow(server, client, tt.wrap)
		if delivered == tt.fails {
			t.Fatalf("%s: delivered %v", tt.name, delivered)
		}
		if tt.fails {
			failing[tt.name] = turns
			continue
		}
		healthy[tt.name] = turns
		if turns, delivered = recordedFlow(server, client, plain); delivered && !strings.Contains(tt.name, "without tickets") {
			healthy[tt.name+", resumed"] = turns
		}
	}
	return healthy, failing
}

// incomplete calls check with what captures may have of a flow.
func incomplete(t *testing.T, turns []turn, mss int, check func(what string, frames [][]byte)) {
	packets := segments(turns, mss, 1000, 2000)
	all := frames(t, packets)
	for i := range all {
		for n := 1; n <= 3; n++ {
			check(fmt.Sprintf("without %d packets from %d", n, i), slices.Delete(slices.Clone(all), i, min(i+n, len(all))))
		}
		check(fmt.Sprintf("from packet %d", i), all[i:])
		check(fmt.Sprintf("up to packet %d", i), all[:i])
	}
	for length := 54; length < 54+mss; length += 1 + mss/12 {
		cut := make([][]byte, len(all))
		for i, frame := range all {
			cut[i] = frame[:min(length, len(frame))]
		}
		check(fmt.Sprintf("snap length %d", length), cut)
	}
	for _, side := range []handshake.Side{handshake.Client, handshake.Server} {
		var seen [][]byte
		for i, p := range packets {
			if p.from == side {
				seen = append(seen, all[i])
			}
		}
		check("the "+side.String()+"'s side", seen)
	}
}
