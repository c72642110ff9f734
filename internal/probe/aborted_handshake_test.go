package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"postern/internal/persona"
	"postern/internal/testcert"
)

// A careless server does something in plaintext after a failed handshake.
func careless(t *testing.T, then func(net.Conn, *bufio.Reader)) (addr string) {
	t.Helper()
	pair := testcert.New(t, testcert.Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for _, say := range []string{"220 mx.test\r\n", "250-mx.test\r\n250 STARTTLS\r\n", "220 go\r\n"} {
					fmt.Fprint(conn, say)
					if !strings.HasPrefix(say, "220 go") {
						in.ReadString('\n')
					}
				}
				if tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{pair.TLS}}).Handshake() != nil {
					then(conn, in)
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// answers sends the same reply to each line.
func answers(reply string) func(net.Conn, *bufio.Reader) {
	return func(conn net.Conn, in *bufio.Reader) {
		for _, err := in.ReadString('\n'); err == nil; _, err = in.ReadString('\n') {
			fmt.Fprint(conn, reply)
		}
	}
}

func TestPlaintextAfterAbortedHandshakeIsFound(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		then     func(net.Conn, *bufio.Reader)
		severity Severity
		evidence string
	}{
		"closes":          {func(net.Conn, *bufio.Reader) {}, OK, ""},
		"stays silent":    {answers(""), OK, ""},
		"refuses":         {answers("554 Security failure\r\n"), Notice, `"554 Security failure"`},
		"executes":        {answers("250 ok\r\n"), Warning, `NOOP was answered in plaintext: "250 ok"`},
		"sends":           {func(c net.Conn, _ *bufio.Reader) { fmt.Fprint(c, "550 \x1b[2J\r\n") }, Notice, `sent in plaintext: "550 \x1b[2J"`},
		"sends, executes": {func(c net.Conn, in *bufio.Reader) { fmt.Fprint(c, "550 no\r\n"); answers("250 ok\r\n")(c, in) }, Warning, "NOOP"},
		// A slow server: what it sends before the command comes after it.
		"sends late, executes": {func(c net.Conn, in *bufio.Reader) { in.ReadString('\n'); fmt.Fprint(c, "550 no\r\n250 ok\r\n") }, Warning, "NOOP"},
		"endless line":         {func(c net.Conn, _ *bufio.Reader) { endlessly(c, "5") }, Notice, `"5555`},
		"endless alerts":       {func(c net.Conn, _ *bufio.Reader) { endlessly(c, "\x15\x03\x03\x00\x02\x01\x5a") }, OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			healthy, _ := persona.Find(healthyID)
			e := &addressProbe{target: persona.Target{Addr: careless(t, tt.then)}, aborted: abortedHandshakes()}
			for _, b := range e.aborted {
				b.run(context.Background(), healthy, e.target)
				if !b.sent {
					t.Errorf("%s: the handshake was not aborted", b.how)
				}
			}
			found := checkAborted(e)
			if len(found) != 1 || found[0].Severity != tt.severity || !strings.Contains(strings.Join(found[0].Evidence, "\n"), tt.evidence) {
				t.Errorf("%+v, want %v with %q", found, tt.severity, tt.evidence)
			}
		})
	}
}

func endlessly(c net.Conn, what string) {
	for {
		if _, err := fmt.Fprint(c, strings.Repeat(what, 100)); err != nil {
			return
		}
	}
}
