package probe_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
	"unicode"

	"postern/internal/probe"
	"postern/internal/testcert"
	"postern/internal/tlsrecord"
)

const escape = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe"

// hostiles are hostile servers, each a function that serves a connection.
var hostiles = map[string]func(net.Conn){
	"closes at once":       func(net.Conn) {},
	"says nothing":         func(c net.Conn) { c.Read(make([]byte, 1)) },
	"endless line":         func(c net.Conn) { flood(c, "220 "+strings.Repeat("a", 1000)) },
	"endless greeting":     func(c net.Conn) { flood(c, "220-hello\r\n") },
	"endless EHLO":         func(c net.Conn) { greet(c, "220 mx.test"); flood(c, "250-STARTTLS\r\n") },
	"drips":                func(c net.Conn) { drip(c, "220 mx.test ESMTP\r\n") },
	"escapes":              func(c net.Conn) { greet(c, "220 mx.test ESMTP "+escape); fmt.Fprintf(c, "250 %s\r\n", escape) },
	"escapes in a refusal": func(c net.Conn) { fmt.Fprintf(c, "554 %s\r\n", escape) },
	"not SMTP":             func(c net.Conn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") },
	"zeros instead of TLS": func(c net.Conn) { awaitHello(c); flood(c, string(make([]byte, 1<<16))) },
	"endless TLS records":  func(c net.Conn) { awaitHello(c); flood(c, "\x16\x03\x03\x00\x04\x02\xff\xff\xff") },
	"empty records":        func(c net.Conn) { awaitHello(c); flood(c, "\x16\x03\x03\x00\x00") },
	"records too long":     func(c net.Conn) { awaitHello(c); flood(c, "\x16\x03\x03\xff\xff"+strings.Repeat("a", 1<<16-1)) },
	"records of a byte":    func(c net.Conn) { awaitHello(c); flood(c, "\x16\x03\x03\x00\x01\x0b") },
	"truncated record":     func(c net.Conn) { awaitHello(c); fmt.Fprint(c, "\x16\x03\x03\x40\x00\x02") },
	"message of 16 MiB": func(c net.Conn) {
		awaitHello(c)
		flood(c, "\x16\x03\x03\x40\x00\x0b\xff\xff\xff"+strings.Repeat("a", 1<<14-4))
	},
	"alerts only":          func(c net.Conn) { awaitHello(c); flood(c, "\x15\x03\x03\x00\x02\x01\x5a") },
	"text behind STARTTLS": func(c net.Conn) { startTLS(c); fmt.Fprintf(c, "250 %s\r\n", escape) },
}

func greet(c net.Conn, line string) {
	fmt.Fprintf(c, "%s\r\n", line)
	bufio.NewReader(c).ReadString('\n')
}

func startTLS(c net.Conn) {
	greet(c, "220 mx.test")
	greet(c, "250-mx.test\r\n250 STARTTLS")
	fmt.Fprint(c, "220 go\r\n")
}

// awaitHello serves until the client has sent its ClientHello and waits.
func awaitHello(c net.Conn) {
	startTLS(c)
	c.Read(make([]byte, 4096))
}

// flood sends until the client closes the connection.
func flood(c net.Conn, what string) {
	for {
		if _, err := fmt.Fprint(c, what); err != nil {
			return
		}
	}
}

// drip sends a letter each time that a client could restart its timeout.
func drip(c net.Conn, what string) {
	for _, letter := range what {
		if _, err := fmt.Fprintf(c, "%c", letter); err != nil {
			return
		}
		c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
			return
		}
	}
}

func isTimeout(err error) bool {
	netErr, ok := err.(net.Error)
	return ok && netErr.Timeout()
}

// Whatever a server does, the probe ends at its timeout, reports what it observed, and lets
// no control character of the server through.
func TestHostileServers(t *testing.T) {
	t.Parallel()
	for name, do := range hostiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := listen(t, do)
			checkHostile(t, addr, time.Second)
		})
	}
}

// A chain of two hundred certificates, with control characters in a name, and then an endless
// reply.
func TestHostileServerOverTLS(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{Names: []string{"\x1b[2J.test", "localhost"}})
	chain := pair.TLS
	for range 200 {
		chain.Certificate = append(chain.Certificate, pair.TLS.Certificate[0])
	}
	config := &tls.Config{Certificates: []tls.Certificate{chain}}
	r := checkHostile(t, listen(t, func(c net.Conn) {
		startTLS(c)
		server := tls.Server(c, config)
		if server.Handshake() == nil {
			greet(server, "250 "+escape)
			flood(server, "250-"+escape+"\r\n")
		}
	}), enough)
	if f := finding(t, r.AllFindings(), "certificate-chain"); f.Severity != probe.Warning || !strings.HasPrefix(f.Evidence[0], "201 certificates") {
		t.Errorf("%+v", f)
	}
}

func listen(t *testing.T, do func(net.Conn)) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go func() {
				defer conn.Close()
				do(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// enough is for servers at which clients end by themselves: it ends only tests that fail.
const enough = time.Minute

func checkHostile(t *testing.T, addr string, timeout time.Duration) *probe.Report {
	t.Helper()
	r, err := (&probe.Prober{Timeout: timeout}).Probe(context.Background(), addr)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Severity(); s < probe.Unclear || r.AllFindings()[0].Evidence == nil {
		t.Errorf("%v: %+v", s, r.AllFindings())
	}
	for _, f := range r.AllFindings() {
		for _, text := range append([]string{f.Title}, f.Evidence...) {
			if i := strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("%s has a control character at %d: %q", f.ID, i, text)
			}
		}
	}
	return r
}

// A server that sends a thousand tickets, one after the other, and never the reply that the
// client waits for.
func TestServerThatSendsAThousandTickets(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{})
	gave := make(chan int, 1)
	addr := listen(t, func(c net.Conn) {
		startTLS(c)
		keys := new(bytes.Buffer)
		server := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair.TLS}, MinVersion: tls.VersionTLS13, KeyLogWriter: keys})
		if server.Handshake() != nil {
			return
		}
		sent := tickets(c, secret(keys), server.ConnectionState().CipherSuite)
		select {
		case gave <- sent:
		default: // one is counted
		}
		greet(server, "250 ok") // which no client can read any more
	})
	r := checkHostile(t, addr, enough)
	if f := finding(t, r.AllFindings(), "healthy"); f.Severity != probe.Critical || !strings.Contains(strings.Join(f.Evidence, "\n"), "session tickets") {
		t.Fatalf("%+v", f)
	}
	if n := <-gave; n < 17 {
		t.Errorf("the client read %d tickets only: this shows nothing", n)
	}
}

// secret returns the server's traffic secret after the handshake, from its key log.
func secret(keys *bytes.Buffer) []byte {
	for lines := bufio.NewScanner(keys); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); fields[0] == "SERVER_TRAFFIC_SECRET_0" {
			secret, _ := hex.DecodeString(fields[2])
			return secret
		}
	}
	panic("no server traffic secret")
}

// tickets writes a thousand tickets behind crypto/tls's own, which was its first record
// under these keys, and returns how many went out.
func tickets(c net.Conn, secret []byte, suite uint16) (sent int) {
	if suite != tls.TLS_AES_128_GCM_SHA256 {
		panic("this machine has no AES, and prefers another suite: " + tls.CipherSuiteName(suite))
	}
	block, err := aes.NewCipher(expand(secret, "key", 16))
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	iv := expand(secret, "iv", 12)
	for sequence := uint64(1); sequence <= 1000; sequence++ {
		if _, err := c.Write(seal(aead, iv, sequence, ticket(sequence))); err != nil {
			return sent
		}
		sent++
	}
	return sent
}

// expand is HKDF-Expand-Label with an empty context (RFC 8446, Section 7.1).
func expand(secret []byte, label string, size int) []byte {
	label = "tls13 " + label
	info := string([]byte{0, byte(size), byte(len(label))}) + label + "\x00"
	key, err := hkdf.Expand(sha256.New, secret, info, size)
	if err != nil {
		panic(err)
	}
	return key
}

// ticket is a NewSessionTicket message and the type of its record (RFC 8446, Sections
// 4.6.1 and 5.2).
func ticket(number uint64) []byte {
	body := binary.BigEndian.AppendUint32(nil, 7200)
	body = binary.BigEndian.AppendUint32(body, 0)
	body = append(body, 8)
	body = binary.BigEndian.AppendUint64(body, number)
	body = append(body, 0, 32)
	body = append(append(body, make([]byte, 32)...), 0, 0)
	return append(append([]byte{4, 0, 0, byte(len(body))}, body...), 22)
}

func seal(aead cipher.AEAD, iv []byte, sequence uint64, plain []byte) []byte {
	nonce := bytes.Clone(iv)
	for i := range 8 {
		nonce[4+i] ^= byte(sequence >> (56 - 8*i))
	}
	head := tlsrecord.AppendHeader(nil, tlsrecord.ApplicationData, len(plain)+aead.Overhead())
	return aead.Seal(head, nonce, plain, head)
}
