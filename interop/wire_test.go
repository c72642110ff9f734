package interop_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// startTLS connects to addr and asks for TLS.
func startTLS(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(conn)
	for _, command := range []string{"", "STARTTLS\r\n"} {
		io.WriteString(conn, command)
		if reply, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(reply, "220 ") {
			t.Fatalf("reply %q to %q: %v", reply, command, err)
		}
	}
	return conn
}

// handshaken returns a client that is about to shake hands, and what is below it.
func handshaken(t *testing.T, addr string, config *tls.Config) (*wire, *tls.Conn) {
	t.Helper()
	below := &wire{Conn: startTLS(t, addr)}
	return below, tls.Client(below, config)
}

// A wire is a connection below a client that can cut what is written and leave at
// a point that crypto/tls would not leave at.
type wire struct {
	net.Conn
	cutAt   int // of the first write only so much goes out; 0: all
	writes  int
	leaveAt int    // after that many writes the next answer of the server ends it
	last    []byte // what is said in leaving
}

func (w *wire) afterWrite(n int, last []byte) { w.leaveAt, w.last = n, last }

func (w *wire) Write(b []byte) (int, error) {
	w.writes++
	if w.cutAt > 0 && w.writes == 1 {
		_, err := w.Conn.Write(b[:w.cutAt])
		return len(b), err
	}
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	if w.leaveAt == 0 || w.writes != w.leaveAt {
		return w.Conn.Read(b)
	}
	if w.cutAt == 0 {
		w.readAll(1) // else the server has nothing to say
	}
	w.Conn.Write(w.last)
	w.Conn.Close()
	return 0, io.EOF
}

// readAll waits for as many writes of the server as said, each of which comes whole.
func (w *wire) readAll(writes int) {
	b := make([]byte, 64<<10)
	for range writes {
		w.Conn.Read(b)
	}
}
