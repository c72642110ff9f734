package sessionticket_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"postern/internal/testcert"
	"postern/sessionticket"
	"postern/sessionticket/strictclient"
)

// listen returns a listener of the gate, and a config of a fitting client.
func listen(t *testing.T, gate *sessionticket.Gate) (net.Listener, *tls.Config, *tls.Config) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	pair := testcert.New(t, testcert.Options{})
	gate.OnBypass = func(reason error) { t.Error(reason) }
	server := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	client := &tls.Config{RootCAs: pair.Pool, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	return gate.Listener(ln), server, client
}

// A web server speaks HTTP/1.1 and HTTP/2 through the gate, to strict clients too.
func TestHTTPServer(t *testing.T) {
	for _, mode := range []sessionticket.Mode{sessionticket.OwnWrite, sessionticket.FirstWrite} {
		for _, protocol := range []string{"http/1.1", "h2"} {
			gate := &sessionticket.Gate{Mode: mode}
			ln, base, client := listen(t, gate)
			base.NextProtos = []string{protocol}
			client.NextProtos = base.NextProtos
			server := &http.Server{TLSConfig: gate.Config(base), Handler: http.HandlerFunc(answer)}
			go server.ServeTLS(ln, "", "")
			defer server.Close()

			for _, resumed := range []string{"resumed false", "resumed true"} {
				transport := &http.Transport{
					TLSClientConfig:   client,
					ForceAttemptHTTP2: protocol == "h2",
					DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
						conn, err := new(net.Dialer).DialContext(ctx, network, address)
						return strictclient.New(conn), err
					},
				}
				got := get(t, transport, "https://"+ln.Addr().String())
				if want := protocol + " " + resumed; got != want {
					t.Errorf("%s: server saw %q, want %q", mode, got, want)
				}
				transport.CloseIdleConnections()
			}
		}
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s resumed %v", r.TLS.NegotiatedProtocol, r.TLS.DidResume)
}

func get(t *testing.T, transport *http.Transport, url string) string {
	t.Helper()
	response, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
