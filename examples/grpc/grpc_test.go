package grpc

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"

	"postern/internal/testcert"
	"postern/sessionticket/strictclient"
)

// A strict client completes its handshakes. It resumes the second time: it has got its ticket.
func TestStrictClientIsAnswered(t *testing.T) {
	address, config := start(t, Serve)
	for _, want := range []bool{false, true} {
		state, _, err := check(t, address, config)
		if err != nil {
			t.Fatal(err)
		}
		if state.DidResume != want {
			t.Errorf("resumed is %v, want %v", state.DidResume, want)
		}
	}
}

// The same client fails at a server without the gate.
func TestStrictClientFailsWithoutTheGate(t *testing.T) {
	address, config := start(t, func(listener net.Listener, config *tls.Config) error {
		return grpc.NewServer(grpc.Creds(credentials.NewTLS(config))).Serve(listener)
	})
	if _, conn, err := check(t, address, config); err == nil || !conn.Refused() {
		t.Errorf("the call gave %v, and the client refused a ticket: %v", err, conn.Refused())
	}
}

// check asks the server whether it is healthy, on a connection of its own.
func check(t *testing.T, address string, config *tls.Config) (tls.ConnectionState, *strictclient.Conn, error) {
	var conn *strictclient.Conn
	client, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(config)),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			if conn != nil {
				return nil, errors.New("this client connects once")
			}
			plain, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			conn = strictclient.New(plain)
			return conn, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var server peer.Peer
	_, err = healthpb.NewHealthClient(client).Check(t.Context(), new(healthpb.HealthCheckRequest), grpc.Peer(&server))
	info, _ := server.AuthInfo.(credentials.TLSInfo)
	return info.State, conn, err
}

// start runs a server until the test ends, and returns its address and the config of its clients.
func start(t *testing.T, serve func(net.Listener, *tls.Config) error) (string, *tls.Config) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pair := testcert.New(t, testcert.Options{})
	go serve(listener, &tls.Config{Certificates: []tls.Certificate{pair.TLS}})
	t.Cleanup(func() { listener.Close() })
	cache := tls.NewLRUClientSessionCache(0)
	return listener.Addr().String(), &tls.Config{RootCAs: pair.Pool, ServerName: "localhost", ClientSessionCache: cache}
}
