package persona_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"

	"postern/internal/testcert"
)

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
