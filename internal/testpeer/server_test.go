package testpeer_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"postern/internal/testcert"
)

// server is a minimal SMTP server with STARTTLS by unmodified crypto/tls, tickets on. It
// keeps messages and the states of their connections.
type server struct {
	addr   string
	pair   *testcert.Pair
	config *tls.Config

	mu       sync.Mutex
	messages []string
	states   []tls.ConnectionState
	schemes  []tls.SignatureScheme // that the last ClientHello offered
}

func startServer(t *testing.T) *server {
	t.Helper()
	ec := testcert.New(t, testcert.Options{})
	rsa := testcert.New(t, testcert.Options{RSA: true})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{
		addr:   listener.Addr().String(),
		pair:   ec,
		config: &tls.Config{Certificates: []tls.Certificate{ec.TLS, rsa.TLS}},
	}
	s.config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.schemes = hello.SignatureSchemes
		return nil, nil
	}
	var sessions sync.WaitGroup
	t.Cleanup(func() { listener.Close(); sessions.Wait() })
	sessions.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() { s.serve(conn) })
		}
	})
	return s
}

// serve serves one connection.
func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	fmt.Fprint(conn, "220 mx.test\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " "); verb {
		case "EHLO":
			fmt.Fprint(conn, "250-mx.test\r\n250 STARTTLS\r\n")
		case "STARTTLS":
			fmt.Fprint(conn, "220 go ahead\r\n")
			secure := tls.Server(conn, s.config)
			if secure.Handshake() != nil {
				return
			}
			conn, r = secure, bufio.NewReader(secure)
		case "DATA":
			fmt.Fprint(conn, "354 go ahead\r\n")
			text, err := readText(r)
			if err != nil {
				return
			}
			s.keep(text, conn)
			fmt.Fprint(conn, "250 kept\r\n")
		case "QUIT":
			fmt.Fprint(conn, "221 bye\r\n")
			return
		case "RCPT":
			if strings.Contains(line, "refused@") {
				fmt.Fprint(conn, "550 5.1.1 no such user\r\n")
				continue
			}
			fmt.Fprint(conn, "250 ok\r\n")
		default:
			fmt.Fprint(conn, "250 ok\r\n")
		}
	}
}

func readText(r *bufio.Reader) (string, error) {
	var text strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == ".\r\n" {
			return text.String(), err
		}
		text.WriteString(strings.TrimPrefix(line, "."))
	}
}

func (s *server) keep(text string, conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, text)
	if secure, ok := conn.(*tls.Conn); ok {
		s.states = append(s.states, secure.ConnectionState())
	}
}

// last returns the last message and the state of its connection.
func (s *server) last(t *testing.T) (string, tls.ConnectionState) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.messages) == 0 || len(s.states) == 0 {
		t.Fatal("no message arrived over TLS")
	}
	return s.messages[len(s.messages)-1], s.states[len(s.states)-1]
}

// offersECDSA reports whether the last client accepts ECDSA signatures.
func (s *server) offersECDSA() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.schemes, tls.ECDSAWithP256AndSHA256)
}
