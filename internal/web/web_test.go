package web_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"postern/internal/testcert"
	"postern/internal/testlog"
	"postern/internal/web"
)

// A testServer is a server on loopback, for HTTPS and plain HTTP.
type testServer struct {
	*web.Server
	log           testlog.Log
	secure, plain string // addresses
	trusted       *tls.Config
}

func open(t *testing.T, settings web.Settings) *testServer {
	t.Helper()
	pair := testcert.New(t, testcert.Options{Names: []string{"www.example.org", "mx.example.org"}})
	settings.TLS = &tls.Config{Certificates: []tls.Certificate{pair.TLS}, NextProtos: []string{"acme-tls/1"}}
	h := &testServer{trusted: &tls.Config{RootCAs: pair.Pool}}
	h.Server = web.New(settings, slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	t.Cleanup(func() { h.Shutdown(t.Context()) })
	h.secure, h.plain = listen(t, h.Serve), listen(t, h.ServePlain)
	return h
}

func listen(t *testing.T, serve func(net.Listener) error) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := serve(ln); err != nil {
			t.Error(err)
		}
	}()
	return ln.Addr().String()
}

// client returns a client that reaches the server by any name.
func (h *testServer) client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{
		TLSClientConfig:   h.trusted,
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			to := h.secure
			if strings.HasSuffix(addr, ":80") {
				to = h.plain
			}
			return new(net.Dialer).DialContext(ctx, network, to)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func ask(t *testing.T, client *http.Client, method, url, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// says returns a handler that answers with a text.
func says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
}

func TestRouteAnswersAtItsHostOnly(t *testing.T) {
	h := open(t, web.Settings{Routes: []web.Route{{Pattern: "GET www.example.org/hello", Handler: says("hello")}}})
	client := h.client(t)
	response, text := ask(t, client, "GET", "https://WWW.example.org/hello", "")
	if response.StatusCode != 200 || text != "hello" || response.ProtoMajor != 2 {
		t.Errorf("got %s %s %q", response.Proto, response.Status, text)
	}
	if got := response.Header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options is %q", got)
	}
	for _, url := range []string{"https://mx.example.org/hello", "https://www.example.org/", "https://www.example.org/hello/"} {
		if response, _ := ask(t, client, "GET", url, ""); response.StatusCode != 404 {
			t.Errorf("%s: got %s", url, response.Status)
		}
	}
	if response, _ := ask(t, client, "POST", "https://www.example.org/hello", ""); response.StatusCode != 405 {
		t.Errorf("POST: got %s", response.Status)
	}
}

func TestNewRoutesTakeEffectAtOnce(t *testing.T) {
	h := open(t, web.Settings{})
	client := h.client(t)
	if response, _ := ask(t, client, "GET", "https://www.example.org/new", ""); response.StatusCode != 404 {
		t.Errorf("got %s", response.Status)
	}
	h.Apply([]web.Route{{Pattern: "GET www.example.org/new", Handler: says("new")}})
	if _, text := ask(t, client, "GET", "https://www.example.org/new", ""); text != "new" {
		t.Errorf("got %q", text)
	}
}

func TestOldTLSIsRefusedAndOtherProtocolsAreOffered(t *testing.T) {
	h := open(t, web.Settings{})
	old := h.trusted.Clone()
	old.ServerName, old.MaxVersion = "www.example.org", tls.VersionTLS11
	if conn, err := tls.Dial("tcp", h.secure, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 was accepted")
	}
	for _, proto := range []string{"h2", "http/1.1", "acme-tls/1"} {
		config := h.trusted.Clone()
		config.ServerName, config.NextProtos = "www.example.org", []string{proto}
		conn, err := tls.Dial("tcp", h.secure, config)
		if err != nil {
			t.Fatal(err)
		}
		if got := conn.ConnectionState().NegotiatedProtocol; got != proto {
			t.Errorf("%q is spoken, want %q", got, proto)
		}
		conn.Close()
	}
}

func TestPlainHTTPAnswersChallengesAndRedirectsToHTTPS(t *testing.T) {
	h := open(t, web.Settings{Challenges: says("token"), Routes: []web.Route{{Pattern: "/", Handler: says("secret")}}})
	client := h.client(t)
	if _, text := ask(t, client, "GET", "http://www.example.org/.well-known/acme-challenge/x", ""); text != "token" {
		t.Errorf("the challenge is %q", text)
	}
	response, _ := ask(t, client, "GET", "http://WWW.example.org:80/a%20b?c=%0d%0ad", "")
	if got, want := response.Header.Get("Location"), "https://www.example.org/a%20b?c=%0d%0ad"; response.StatusCode != 308 || got != want {
		t.Errorf("got %s to %q, want %q", response.Status, got, want)
	}
	if response, _ := ask(t, client, "POST", "http://www.example.org/", "x"); response.StatusCode != 413 {
		t.Errorf("POST: got %s", response.Status)
	}
	if response, _ := ask(t, client, "DELETE", "http://www.example.org/", ""); response.StatusCode != 405 {
		t.Errorf("DELETE: got %s", response.Status)
	}
}

func TestBodySizeIsLimited(t *testing.T) {
	var read int
	h := open(t, web.Settings{Routes: []web.Route{{Pattern: "POST /", MaxBody: 10, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if read = len(body); err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		}
	})}}})
	client := h.client(t)
	for _, tt := range []struct {
		body string
		want int
	}{{"0123456789", 200}, {"0123456789a", 413}} {
		if response, _ := ask(t, client, "POST", "https://www.example.org/", tt.body); response.StatusCode != tt.want {
			t.Errorf("%d bytes: got %s, want %d", len(tt.body), response.Status, tt.want)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), "POST", "https://www.example.org/", io.MultiReader(strings.NewReader(strings.Repeat("x", 100))))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request) // of a length that is not announced
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 413 || read > 10 {
		t.Errorf("got %s after %d bytes", response.Status, read)
	}
}

func TestRequestIsLoggedWithoutControlCharacters(t *testing.T) {
	h := open(t, web.Settings{Routes: []web.Route{{Pattern: "GET /", Handler: says("1234")}}})
	ask(t, h.client(t), "GET", "https://www.example.org/%1b%5b31m%0a"+strings.Repeat("x", 1000), "")
	h.Shutdown(t.Context()) // the line is there then
	line := h.log.String()
	for _, want := range []string{"level=DEBUG", `msg="web request"`, "client=127.0.0.1:", "method=GET", "host=www.example.org", "status=200", "bytes=4"} {
		if !strings.Contains(line, want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
	if strings.Contains(line, "\x1b") || strings.Count(line, "\n") != 1 || len(line) > 600 {
		t.Errorf("the line is %q", line)
	}
}

func TestPanicEndsItsOwnRequestOnly(t *testing.T) {
	h := open(t, web.Settings{Routes: []web.Route{
		{Pattern: "GET /bad", Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") })},
		{Pattern: "GET /good", Handler: says("good")},
	}})
	client := h.client(t)
	if response, _ := ask(t, client, "GET", "https://www.example.org/bad", ""); response.StatusCode != 500 {
		t.Errorf("got %s", response.Status)
	}
	if _, text := ask(t, client, "GET", "https://www.example.org/good", ""); text != "good" {
		t.Errorf("got %q", text)
	}
	if line := h.log.String(); !strings.Contains(line, "level=WARN") || !strings.Contains(line, "panic: oops") {
		t.Errorf("the log says %q", line)
	}
}

func TestShutdownWaitsForAnswers(t *testing.T) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	h := open(t, web.Settings{Routes: []web.Route{{Pattern: "GET /", Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-goOn
		io.WriteString(w, "done")
	})}}})
	client, answered := h.client(t), make(chan string)
	go func() {
		_, text := ask(t, client, "GET", "https://www.example.org/", "")
		answered <- text
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() { stopped <- h.Shutdown(ctx) }()
	close(goOn)
	if text := <-answered; text != "done" {
		t.Errorf("got %q", text)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	cancel()
	if conn, err := net.DialTimeout("tcp", h.secure, time.Second); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}
