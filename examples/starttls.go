package examples

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"

	"postern/sessionticket"
)

// STARTTLS speaks SMTP: the gate's conn carries the plain dialogue first. A real server answers
// more commands and has deadlines.
func STARTTLS(listener net.Listener, config *tls.Config) error {
	gate := new(sessionticket.Gate)
	listener = gate.Listener(listener)
	config = gate.Config(config)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go serveSMTP(conn, config)
	}
}

// serveSMTP answers EHLO, STARTTLS (RFC 3207) and QUIT.
func serveSMTP(conn net.Conn, config *tls.Config) {
	defer func() { conn.Close() }()
	io.WriteString(conn, "220 mx.example.org ESMTP\r\n")
	for lines := bufio.NewReader(conn); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " "); verb {
		case "EHLO":
			io.WriteString(conn, "250-mx.example.org\r\n250 STARTTLS\r\n")
		case "STARTTLS":
			if lines.Buffered() > 0 { // commands after STARTTLS, in plaintext
				return
			}
			io.WriteString(conn, "220 ready\r\n")
			conn = tls.Server(conn, config)
			lines = bufio.NewReader(conn)
		case "QUIT":
			io.WriteString(conn, "221 bye\r\n")
			return
		default:
			io.WriteString(conn, "502 5.5.1 not here\r\n")
		}
	}
}
