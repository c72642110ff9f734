package sessionticket_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	"postern/internal/testcert"
	"postern/sessionticket"
	"postern/sessionticket/strictclient"
)

// The client of golang/go#70232: it connects in every mode but Stock, and
// resumes if it got a ticket.
func TestStrictClientConnectsAndResumes(t *testing.T) {
	for _, test := range []struct {
		mode    sessionticket.Mode
		want    error
		resumes bool
	}{
		{sessionticket.FirstWrite, nil, true},
		{sessionticket.OwnWrite, nil, true},
		{sessionticket.NoTicket, nil, false},
		{sessionticket.Stock, strictclient.ErrEarlyTicket, false},
	} {
		for name, speak := range map[string]func(net.Conn){"server speaks first": speakFirst, "server waits": speakSecond} {
			t.Run(test.mode.String()+", "+name, func(t *testing.T) {
				client, dial := serveStrict(t, test.mode, speak)
				if _, err := deliver(dial(), client); !errors.Is(err, test.want) {
					t.Fatalf("first connection gave %v, want %v", err, test.want)
				}
				if test.want != nil {
					return
				}
				state, err := deliver(dial(), client)
				if err != nil || state.DidResume != test.resumes {
					t.Errorf("second connection gave DidResume %v, error %v; want %v", state.DidResume, err, test.resumes)
				}
			})
		}
	}
}

// serveStrict runs a server behind the gate and returns how to reach it.
func serveStrict(t *testing.T, mode sessionticket.Mode, speak func(net.Conn)) (*tls.Config, func() net.Conn) {
	t.Helper()
	pair := testcert.New(t, testcert.Options{})
	gate := &sessionticket.Gate{Mode: mode, OnBypass: func(reason error) { t.Error(reason) }}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	config := gate.Config(&tls.Config{Certificates: []tls.Certificate{pair.TLS}})
	go func() {
		for ln := tls.NewListener(gate.Listener(ln), config); ; {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go speak(conn)
		}
	}()
	client := &tls.Config{RootCAs: pair.Pool, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	return client, func() net.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return strictclient.New(conn)
	}
}

func speakFirst(conn net.Conn) {
	defer conn.Close()
	io.WriteString(conn, "hello\n")
	io.ReadAll(conn)
}

func speakSecond(conn net.Conn) {
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		io.WriteString(conn, "hello\n")
	}
}

// deliver sends a byte, reads the server's line, and closes.
func deliver(conn net.Conn, config *tls.Config) (tls.ConnectionState, error) {
	client := tls.Client(conn, config)
	defer client.Close()
	if _, err := client.Write([]byte("x")); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := io.ReadFull(client, make([]byte, len("hello\n"))); err != nil {
		return tls.ConnectionState{}, err
	}
	return client.ConnectionState(), nil
}
