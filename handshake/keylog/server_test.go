package keylog_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/testcert"
	"postern/internal/testpeer"
)

// serveOpenSSL has an OpenSSL client deliver a message over STARTTLS, and returns
// what passed of TLS at the server.
func serveOpenSSL(t *testing.T, config *tls.Config, args ...string) *tap {
	t.Helper()
	config.Certificates = []tls.Certificate{testcert.New(t, testcert.Options{}).TLS}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	passed := make(chan *tap, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			close(passed)
			return
		}
		c := &tap{Conn: conn, own: handshake.Server, peer: handshake.Client}
		speakSMTP(conn, tls.Server(c, config))
		passed <- c
	}()
	d := testpeer.SendOpenSSL(t, listener.Addr().String(), testpeer.OpenSSLOptions{Args: args})
	if !d.Delivered {
		t.Fatalf("not delivered: %q\n%s", d.Reply, d.Output)
	}
	return <-passed
}

// speakSMTP takes one message, which comes over secure after STARTTLS on plain.
func speakSMTP(plain net.Conn, secure *tls.Conn) {
	var conn net.Conn = plain
	lines := bufio.NewReader(conn)
	io.WriteString(conn, "220 test\r\n")
	inText := false
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			conn.Close()
			return
		}
		switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
		case inText && verb != ".":
		case verb == "EHLO":
			io.WriteString(conn, "250-test\r\n250 STARTTLS\r\n")
		case verb == "STARTTLS":
			io.WriteString(conn, "220 go\r\n")
			conn, lines = secure, bufio.NewReader(secure)
		case verb == "DATA":
			io.WriteString(conn, "354 go\r\n")
			inText = true
		case verb == "QUIT":
			io.WriteString(conn, "221 bye\r\n")
			conn.Close()
			return
		default:
			io.WriteString(conn, "250 ok\r\n")
			inText = false
		}
	}
}
