package main

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// dialogue plays a file with a server, line by line:
//
//   - "> TEXT" is sent.
//   - "< TEXT" is how the next line from the server must begin.
//   - "tls" starts TLS; "tls NAME" asks for NAME and expects a certificate for it.
//   - "refuse" starts TLS and does not accept the certificate.
//   - "signal NAME" and "logged TEXT" are those of the script.
//   - "end" waits until the server has closed.
//
// Lines of other kinds are comments.
func dialogue(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.Dial("tcp", args[0])
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	p := &player{ts, conn, bufio.NewReader(conn)}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case ">":
			_, err := p.conn.Write([]byte(rest + "\r\n"))
			ts.Check(err)
		case "<":
			p.expect(rest)
		case "tls":
			p.startTLS(rest)
		case "refuse":
			if err := tls.Client(p.conn, &tls.Config{ServerName: "mx.example.org"}).Handshake(); err == nil {
				ts.Fatalf("the certificate was accepted")
			}
		case "signal":
			running(ts).signal(ts, rest)
		case "logged":
			running(ts).log.await(ts, rest)
		case "end":
			if line, err := p.in.ReadString('\n'); err == nil {
				ts.Fatalf("expected the end, got %q", line)
			}
		}
	}
}

// A player is a client that plays a dialogue.
type player struct {
	ts   *testscript.TestScript
	conn net.Conn
	in   *bufio.Reader
}

func (p *player) expect(want string) {
	line, err := p.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, want) {
		p.ts.Fatalf("expected %q, got %q, %v", want, line, err)
	}
}

func (p *player) startTLS(name string) {
	conn := tls.Client(p.conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	p.ts.Check(conn.Handshake())
	leaf := conn.ConnectionState().PeerCertificates[0]
	if name != "" {
		p.ts.Check(leaf.VerifyHostname(name))
	}
	p.conn, p.in = conn, bufio.NewReader(conn)
}
