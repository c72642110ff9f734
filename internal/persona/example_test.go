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

// A mail server on crypto/tls as it is lets most senders in, and not the one that minds
// where the session ticket comes.
func Example() {
	server := startExample()
	defer server.Close()

	for _, id := range []string{"healthy-openssl", "early-ticket", "healthy-openssl"} {
		p, _ := persona.Find(id)
		visit := p.Run(context.Background(), persona.Target{Addr: server.Addr().String(), EHLO: "probe.example.org"})
		fmt.Println(id, visit.Completed, visit.Stage)
	}
	// Output:
	// healthy-openssl true after TLS
	// early-ticket false handshake
	// healthy-openssl true after TLS
}

// startExample starts a mail server on crypto/tls as it is.
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

// exampleT, a folder, stands for the test that an example has not.
type exampleT string

func (exampleT) Helper() {}

func (exampleT) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (dir exampleT) TempDir() string { return string(dir) }
