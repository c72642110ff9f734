package testpeer_test

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/sessionticket/strictclient"
)

// Mail servers written in Go, before and after they disabled session tickets because
// of https://go.dev/issue/70232.
func TestGoServersWithStrictClient(t *testing.T) {
	type start func(testpeer.T, string, *testcert.Pair) string
	chasquid := func(t testpeer.T, _ string, cert *testcert.Pair) string {
		return testpeer.StartChasquid(t, cert)
	}
	for _, server := range []struct {
		name    string
		start   start
		version string
		want    error
	}{
		{"mox", testpeer.StartMox, "v0.0.12", strictclient.ErrEarlyTicket},
		{"mox", testpeer.StartMox, "v0.0.17", nil},
		{"maddy", testpeer.StartMaddy, "v0.7.1", strictclient.ErrEarlyTicket},
		{"maddy", testpeer.StartMaddy, "v0.8.1", nil},
		{"chasquid", chasquid, "1.11", strictclient.ErrEarlyTicket},
	} {
		t.Run(server.name+" "+server.version, func(t *testing.T) {
			t.Parallel()
			cert := testcert.New(t, testcert.Options{})
			addr := server.start(t, server.version, cert)
			if err := completeTLS(addr, cert, tls.NewLRUClientSessionCache(0)); !errors.Is(err, server.want) {
				t.Errorf("a strict client got %v, want %v", err, server.want)
			}
			// Without a cache crypto/tls asks for no ticket, and completes anywhere.
			if err := completeTLS(addr, cert, nil); err != nil {
				t.Errorf("a client without a cache got %v", err)
			}
		})
	}
}

// completeTLS starts TLS at addr, verifies the certificate, and quits.
func completeTLS(addr string, cert *testcert.Pair, cache tls.ClientSessionCache) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	client, err := strictclient.StartTLS(conn, "sender.test", &tls.Config{
		ServerName:         "localhost",
		RootCAs:            cert.Pool,
		ClientSessionCache: cache,
	})
	if err != nil {
		return err
	}
	return client.Quit()
}
