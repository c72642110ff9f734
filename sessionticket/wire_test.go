package sessionticket

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/internal/testcert"
	"postern/internal/tlsrecord"
)

// wire is the connection below the gate. It keeps what is written, write by write.
type wire struct {
	net.Conn
	mu     sync.Mutex
	writes [][]byte
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.writes = append(w.writes, slices.Clone(b))
	w.mu.Unlock()
	return w.Conn.Write(b)
}

// count is the number of writes so far.
func (w *wire) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.writes)
}

// from returns the writes after the first n.
func (w *wire) from(n int) [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.writes[n:])
}

// String lists the records, a line for each write.
func (w *wire) String() string {
	var lines strings.Builder
	for _, b := range w.from(0) {
		fmt.Fprintln(&lines, strings.Join(records(b), " "))
	}
	return lines.String()
}

// records lists the records of b as type:length.
func records(b []byte) []string { return newLayoutError(b, 0).Records }

// ticketRecords lists the records of the message around a ticket of label bytes.
func ticketRecords(label int) []string {
	var list []string
	for left := newSessionTicketLen(label); left > 0; left -= tlsrecord.MaxPlaintext {
		list = append(list, fmt.Sprintf("23:%d", min(left, tlsrecord.MaxPlaintext)+recordOverhead))
	}
	return list
}

// tcp returns both ends of a loopback connection.
func tcp(t testing.TB) (client net.Conn, server *wire) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); accepted.Close() })
	return client, &wire{Conn: accepted}
}

// configs returns a server's and a client's config that fit. The client keeps tickets.
func configs(pair *testcert.Pair) (server, client *tls.Config) {
	server = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	client = &tls.Config{
		RootCAs: pair.Pool, ServerName: "localhost",
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	return server, client
}

// noteLabels makes config tell the length of each ticket's label.
func noteLabels(config *tls.Config, note func(label int)) {
	useKeys(config, config)
	wrap := config.WrapSession
	config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		label, err := wrap(cs, ss)
		note(len(label))
		return label, err
	}
}

// greet is a server that speaks first: a handshake, a line, and a close that the
// client waits for. It returns the state of the connection.
func greet(server, client *tls.Conn) (tls.ConnectionState, error) {
	done := make(chan error, 1)
	go func() {
		_, err := server.Write([]byte("hello\n"))
		server.Close()
		done <- err
	}()
	got, err := readAll(client)
	if err == nil && got != "hello\n" {
		err = fmt.Errorf("client read %q", got)
	}
	client.Close()
	if serverErr := <-done; err == nil {
		err = serverErr
	}
	return client.ConnectionState(), err
}
