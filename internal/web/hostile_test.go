package web_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/testcert"
	"postern/internal/testlog"
	"postern/internal/web"
)

// The timeouts of limits.go.
const (
	headerTime     = 10 * time.Second
	idleTime       = 30 * time.Second
	connectionTime = 10 * time.Minute
)

// pipes listens for connections in memory, so that time is the test's own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// remotePipe says where it comes from, and when it is closed.
type remotePipe struct {
	net.Conn
	closed func()
}

func (remotePipe) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 4711}
}

func (p remotePipe) Close() error {
	p.closed()
	return p.Conn.Close()
}

// lives returns after what time the server closes the connection of a client.
func lives(t *testing.T, secure bool, client func(net.Conn)) (lived time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		pair := testcert.New(t, testcert.Options{})
		server := web.New(web.Settings{TLS: &tls.Config{Certificates: []tls.Certificate{pair.TLS}}}, slog.New(slog.DiscardHandler))
		ln := &pipes{make(chan net.Conn), make(chan struct{})}
		serve := server.ServePlain
		if secure {
			serve = server.Serve
		}
		go serve(ln)
		ours, theirs := net.Pipe()
		began, closed := time.Now(), make(chan struct{})
		ln.conns <- remotePipe{theirs, sync.OnceFunc(func() { close(closed) })}
		var playing sync.WaitGroup
		playing.Go(func() { client(ours) })
		<-closed
		lived = time.Since(began)
		ours.Close()
		playing.Wait()
		server.Shutdown(t.Context())
	})
	return lived
}

// repeats is a client that sends a text again and again, with a pause after each, and
// reads the answers.
func repeats(text string, pause time.Duration) func(net.Conn) {
	return func(conn net.Conn) {
		go io.Copy(io.Discard, conn)
		for {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}
}

// drips is a client that sends a text byte by byte, one each second.
func drips(text string) func(net.Conn) {
	return func(conn net.Conn) {
		go io.Copy(io.Discard, conn)
		for i := 0; ; i++ {
			if _, err := io.WriteString(conn, text[i%len(text):][:1]); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}
}

// http2 is a client that connects over TLS, sends the preface of HTTP/2 and empty
// settings (RFC 9113, Section 3.4), and goes on with then.
func http2(then func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if _, err := io.WriteString(secured, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); err != nil {
			return
		}
		then(secured)
	}
}

func TestSlowClientsAreCutOff(t *testing.T) {
	const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	const forever = time.Hour
	// A header block that does not end (RFC 9113, Section 6.2), of stream 1.
	const openHeaders = "\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82"
	const ping = "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"
	for name, tt := range map[string]struct {
		secure bool
		client func(net.Conn)
		want   time.Duration
	}{
		"silent before TLS":      {true, func(net.Conn) {}, headerTime},
		"slow handshake":         {true, drips("\x16\x03\x01\x02\x00"), headerTime},
		"silent, plain HTTP":     {false, func(net.Conn) {}, headerTime},
		"slow header":            {false, drips("GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyy"), headerTime},
		"idle after a request":   {false, repeats(get, forever), idleTime},
		"a request every second": {false, repeats(get, time.Second), connectionTime},
		"HTTP/2, idle":           {true, http2(func(conn net.Conn) { io.Copy(io.Discard, conn) }), idleTime},
		"HTTP/2, endless pings":  {true, http2(repeats(ping, time.Second)), idleTime},
		"HTTP/2, endless header": {true, http2(repeats(openHeaders, forever)), idleTime},
	} {
		if lived := lives(t, tt.secure, tt.client); lived > tt.want+time.Second || lived < tt.want-time.Second {
			t.Errorf("%s: lived for %v, want %v", name, lived, tt.want)
		}
	}
}

// A log in JSON has addresses as text, too.
func TestRefusedConnectionIsLoggedInJSON(t *testing.T) {
	var log testlog.Log
	server := web.New(web.Settings{}, slog.New(slog.NewJSONHandler(&log, nil)))
	addr := listen(t, server.ServePlain)
	for range 51 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	last, err := net.Dial("tcp", addr)
	if err == nil {
		last.Read(make([]byte, 1)) // until the server closes it
		last.Close()
	}
	if line := log.String(); !strings.Contains(line, `"client":"127.0.0.1:`) || !strings.Contains(line, `"limit":"127.0.0.1"`) {
		t.Error(line)
	}
	server.Shutdown(t.Context())
}

func TestConnectionsOfAnAddressAreLimited(t *testing.T) {
	h := open(t, web.Settings{})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", h.plain)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	// answered reports whether the server answers on a connection.
	answered := func(conn net.Conn) bool {
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
		n, _ := conn.Read(make([]byte, 8))
		return n > 0
	}
	first := dial()
	if !answered(first) {
		t.Fatal("no answer")
	}
	for range 49 {
		dial()
	}
	if answered(dial()) {
		t.Error("the 51st connection was accepted")
	}
	if line := h.log.String(); !strings.Contains(line, `reason="too many connections"`) || !strings.Contains(line, "limit=127.0.0.1") {
		t.Errorf("the log says %q", line)
	}
	io.WriteString(first, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
	io.Copy(io.Discard, first) // until it is closed, and counted out
	if !answered(dial()) {
		t.Error("no connection is accepted after one was closed")
	}
}

func TestRequestsOfAnAddressAreLimited(t *testing.T) {
	h := open(t, web.Settings{Routes: []web.Route{{Pattern: "POST /", MaxBody: 1, Handler: says("")}}})
	client, answers := h.client(t), make(map[int]int)
	for range 300 {
		response, err := client.Post("https://www.example.org/", "", strings.NewReader("x"))
		if err != nil {
			answers[-1]++ // connection refused
			continue
		}
		response.Body.Close()
		answers[response.StatusCode]++
		if response.StatusCode == http.StatusTooManyRequests && response.Header.Get("Retry-After") == "" {
			t.Error("status 429 without Retry-After")
		}
	}
	if answers[200] < 90 || answers[429] == 0 || answers[200]+answers[429]+answers[-1] != 300 {
		t.Errorf("answers, by status: %v", answers)
	}
}

func TestHugeHeaderIsRefused(t *testing.T) {
	h := open(t, web.Settings{Routes: []web.Route{{Pattern: "/", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the handler was called")
	})}}})
	huge := strings.Repeat("x", 1<<20)
	for _, scheme := range []string{"https", "http"} {
		request, err := http.NewRequestWithContext(t.Context(), "GET", scheme+"://www.example.org/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X", huge)
		response, err := h.client(t).Do(request) // or the connection is closed on it
		if err == nil {
			response.Body.Close()
		}
		if err == nil && response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: got %s", scheme, response.Status)
		}
	}
}

// A ClientHello of 60,000 bytes that does not end is closed at 32 KiB, and does not wait for
// its timeout.
func TestAHugeClientHelloIsRefused(t *testing.T) {
	h := open(t, web.Settings{})
	conn, err := net.Dial("tcp", h.secure)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	records := "\x16\x03\x01\x03\xe8\x01\x00\xea\x60" + strings.Repeat("x", 996) + strings.Repeat("\x16\x03\x01\x03\xe8"+strings.Repeat("x", 1000), 40)
	conn.Write([]byte(records)) // the end of it may meet a closed connection
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came back", n)
	}
	h.Shutdown(t.Context()) // when it has ended, it has been logged
	if line := h.log.String(); !strings.Contains(line, "TLS handshake of more than 32 KiB") {
		t.Errorf("the log says %q", line)
	}
}
