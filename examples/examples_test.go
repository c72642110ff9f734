package examples

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"postern/internal/testcert"
	"postern/sessionticket/strictclient"
)

// A strict client completes its handshakes with each server. It resumes the second time: it has got its ticket.
func TestStrictClientIsAnswered(t *testing.T) {
	for _, test := range []struct {
		name    string
		serve   func(net.Listener, *tls.Config) error
		connect func(*testing.T, net.Conn, *tls.Config) (resumed bool)
	}{
		{"TLS from the first byte", Implicit, connectTLS},
		{"STARTTLS", STARTTLS, connectSMTP},
		{"go-smtp", GoSMTP, connectSMTP},
		{"HTTP/1.1", HTTP, connectHTTP},
		{"HTTP/2", HTTP, connectHTTP2},
	} {
		t.Run(test.name, func(t *testing.T) {
			address, client := start(t, test.serve)
			for _, want := range []bool{false, true} {
				if resumed := test.connect(t, dial(t, address), client); resumed != want {
					t.Errorf("resumed is %v, want %v", resumed, want)
				}
			}
		})
	}
}

// The same client fails at a server without the gate.
func TestStrictClientFailsWithoutTheGate(t *testing.T) {
	address, client := start(t, func(listener net.Listener, config *tls.Config) error {
		return new(http.Server).Serve(tls.NewListener(listener, config))
	})
	if err := tls.Client(dial(t, address), client).Handshake(); !errors.Is(err, strictclient.ErrEarlyTicket) {
		t.Errorf("handshake gave %v, want %v", err, strictclient.ErrEarlyTicket)
	}
}

// gRPC is in a module of its own, which "go test ./..." leaves out here.
func TestStrictClientIsAnsweredByGRPC(t *testing.T) {
	if _, err := os.ReadDir("grpc"); err != nil { // so that the go command knows what a cached result depends on
		t.Fatal(err)
	}
	test := exec.Command("go", "test", "./...")
	test.Dir = "grpc"
	if output, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

// start runs a server, and returns its address and the config of a fitting client.
func start(t *testing.T, serve func(net.Listener, *tls.Config) error) (string, *tls.Config) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pair := testcert.New(t, testcert.Options{})
	ended := make(chan error, 1)
	go func() { ended <- serve(listener, &tls.Config{Certificates: []tls.Certificate{pair.TLS}}) }()
	t.Cleanup(func() {
		listener.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the server ended with %v", err)
		}
	})
	return listener.Addr().String(), &tls.Config{
		RootCAs:            pair.Pool,
		ServerName:         "localhost",
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return strictclient.New(conn)
}

func connectTLS(t *testing.T, conn net.Conn, config *tls.Config) bool {
	client := tls.Client(conn, config)
	if got, err := io.ReadAll(client); err != nil || string(got) != "hello\n" {
		t.Errorf("read %q, %v", got, err)
	}
	return client.ConnectionState().DidResume
}

func connectSMTP(t *testing.T, conn net.Conn, config *tls.Config) bool {
	client, err := strictclient.StartTLS(conn, "sender.example", config)
	if err != nil {
		t.Fatal(err)
	}
	state, _ := client.TLSConnectionState()
	if err := client.Quit(); err != nil {
		t.Error(err)
	}
	return state.DidResume
}

func connectHTTP(t *testing.T, conn net.Conn, config *tls.Config) bool {
	return get(t, conn, config, false)
}

func connectHTTP2(t *testing.T, conn net.Conn, config *tls.Config) bool {
	return get(t, conn, config, true)
}

func get(t *testing.T, conn net.Conn, config *tls.Config, http2 bool) bool {
	transport := &http.Transport{
		TLSClientConfig:   config,
		ForceAttemptHTTP2: http2,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("https://localhost/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	want := "hello over HTTP/1.1\n"
	if http2 {
		want = "hello over HTTP/2.0\n"
	}
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != want {
		t.Errorf("read %q, %v; want %q", body, err, want)
	}
	return response.TLS.DidResume
}
