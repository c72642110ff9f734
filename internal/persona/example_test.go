package persona_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"

	"postern/internal/persona"
	"postern/internal/testcert"
)

// A mail server on unmodified crypto/tls works for most senders, but not for one that does
// not tolerate a session ticket before its Finished.
func Example() {
	server := startExample()
	defer server.Close()

	for _, id := range []string{"healthy-openssl", "early-ticket", "healthy-openssl"} {
		p, _ := persona.Find(id)
		r := p.Run(context.Background(), persona.Target{Addr: server.Addr().String(), EHLO: "probe.example.org"})
		fmt.Println(id, r.Completed, r.Stage)
	}
	// Output:
	// healthy-openssl true after TLS
	// early-ticket false handshake
	// healthy-openssl true after TLS
}

// startExample starts a mail server on unmodified crypto/tls.
func startExample() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	dir, err := os.MkdirTemp("", "persona")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	pair := testcert.New(exampleT(dir), testcert.Options{})
	s := new(server)
	go serveEach(listener, func(conn net.Conn) {
		s.serve(conn, &tls.Config{Certificates: []tls.Certificate{pair.TLS}})
	})
	return listener
}

// An exampleT is a folder in place of the *testing.T that an example does not have.
type exampleT string

func (exampleT) Helper() {}

func (exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (dir exampleT) TempDir() string { return string(dir) }
