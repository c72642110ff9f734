package keylog_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/handshake"
	"postern/handshake/keylog"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/internal/tlsrecord"
)

var suites = []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}

// A crypto/tls client writes its keys while it talks to an OpenSSL server, and each
// message is named. The server sends two tickets after the client's Finished.
func TestKeysOfARunningClientNameTheMessages(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			addr := testpeer.StartOpenSSL(t, pair.CertFile, pair.KeyFile, "-ciphersuites", suite)
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			keys := new(keylog.Log)
			c := &tap{Conn: conn, own: handshake.Client, peer: handshake.Server}
			config := &tls.Config{RootCAs: pair.Pool, ServerName: "localhost", KeyLogWriter: keys, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
			exchange(t, tls.Client(c, config))
			check(t, c.transcript(keys),
				"client: ClientHello",
				"server: ServerHello EncryptedExtensions Certificate CertificateVerify Finished",
				"client: Finished ApplicationData",
				"server: NewSessionTicket NewSessionTicket ApplicationData",
				"client: Alert")
		})
	}
}

// exchange sends a line, which the server reverses, and closes.
func exchange(t *testing.T, conn *tls.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "abc\n"); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4)
	if _, err := io.ReadFull(conn, line); err != nil || string(line) != "cba\n" {
		t.Fatalf("the server sent %q, %v", line, err)
	}
	conn.Close()
}

// An OpenSSL client writes a key log file, and a crypto/tls server sends its ticket early.
func TestKeyLogFileOfOpenSSLNamesTheMessages(t *testing.T) {
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "keys")
			c := serveOpenSSL(t, new(tls.Config), "-ciphersuites", suite, "-keylogfile", file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			check(t, c.transcript(parse(t, string(text))),
				"client: ClientHello",
				"server: ServerHello EncryptedExtensions Certificate CertificateVerify Finished NewSessionTicket",
				"client: Finished ApplicationData",
				"server: ApplicationData Alert")
		})
	}
}

// In TLS 1.2 a key log names Finished and alerts, and shows the commands.
func TestKeyLogOfTLS12(t *testing.T) {
	for _, suite := range []string{"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"} {
		t.Run(suite, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "keys")
			c := serveOpenSSL(t, new(tls.Config), "-tls1_2", "-cipher", suite, "-keylogfile", file)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			keys := parse(t, string(text))
			got := c.transcript(keys)
			check(t, got,
				"client: ClientHello",
				"server: ServerHello Certificate ServerKeyExchange ServerHelloDone",
				"client: ClientKeyExchange Finished",
				"server: NewSessionTicket Finished",
				"client: ApplicationData",
				"server: ApplicationData Alert")
			if last := got.Messages[len(got.Messages)-1]; last.Alert == nil || last.Alert.Description != 0 {
				t.Errorf("the server's close_notify is %+v", last)
			}
			plain := c.opened(keys, got)
			for _, command := range []string{"EHLO ", "MAIL FROM:", "QUIT\r\n"} {
				if !strings.Contains(plain, command) {
					t.Errorf("%q is not among what was opened: %q", command, plain)
				}
			}
		})
	}
}

// A crypto/tls client of TLS 1.2.
func TestKeysOfARunningClientOfTLS12(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	addr := testpeer.StartOpenSSL(t, pair.CertFile, pair.KeyFile)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	keys := new(keylog.Log)
	c := &tap{Conn: conn, own: handshake.Client, peer: handshake.Server}
	exchange(t, tls.Client(c, &tls.Config{RootCAs: pair.Pool, ServerName: "localhost", KeyLogWriter: keys, MaxVersion: tls.VersionTLS12}))
	check(t, c.transcript(keys),
		"client: ClientHello",
		"server: ServerHello Certificate ServerKeyExchange ServerHelloDone",
		"client: ClientKeyExchange Finished",
		"server: Finished",
		"client: ApplicationData",
		"server: ApplicationData",
		"client: Alert")
}

// A capture may lack records: those after them open.
func TestRecordsAfterALostOneOpenInTLS12(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	c := serveOpenSSL(t, new(tls.Config), "-tls1_2", "-keylogfile", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	keys := parse(t, string(text))
	full := c.transcript(keys)
	opener := c.opener(keys, full)
	records := c.encrypted(handshake.Client)
	if len(records) < 4 {
		t.Fatalf("%d records", len(records))
	}
	for _, i := range []int{0, 2, 3} {
		if _, _, ok := opener.Open(handshake.Client, 0, records[i]); !ok {
			t.Errorf("record %d does not open", i)
		}
	}
	if _, _, ok := opener.Open(handshake.Client, 0, records[1]); ok {
		t.Error("an old record opens again")
	}
	damaged := append([]byte(nil), records[3]...)
	damaged[len(damaged)-1] ^= 1
	if _, _, ok := c.opener(keys, full).Open(handshake.Client, 0, damaged); ok {
		t.Error("a damaged record opens")
	}
}

// encrypted returns the records that a side sent after its ChangeCipherSpec.
func (c *tap) encrypted(from handshake.Side) (records [][]byte) {
	var all []byte
	for _, p := range c.passed {
		if p.from == from {
			all = append(all, p.bytes...)
		}
	}
	changed := false
	for len(all) >= tlsrecord.HeaderLen {
		end := tlsrecord.HeaderLen + tlsrecord.Length(all[:tlsrecord.HeaderLen])
		if changed {
			records = append(records, all[:end])
		}
		changed = changed || all[0] == tlsrecord.ChangeCipherSpec
		all = all[end:]
	}
	return records
}

// opener returns what opens the records of a transcript. The randoms are in the bytes.
func (c *tap) opener(keys *keylog.Log, t *handshake.Transcript) handshake.Opener {
	session := handshake.Session{Version: t.ServerHello.Version, Suite: t.ServerHello.Suite}
	const random = tlsrecord.HeaderLen + 4 + 2 // headers of record and message, version
	for _, p := range c.passed {
		to := &session.ClientRandom
		if p.from == handshake.Server {
			to = &session.ServerRandom
		}
		if *to == [32]byte{} {
			copy(to[:], p.bytes[random:])
		}
	}
	return keys.Opener(session)
}

// opened returns what the client sent, apart from its Finished.
func (c *tap) opened(keys *keylog.Log, t *handshake.Transcript) string {
	opener := c.opener(keys, t)
	var text strings.Builder
	for _, record := range c.encrypted(handshake.Client) {
		if content, kind, ok := opener.Open(handshake.Client, 0, record); ok && kind == tlsrecord.ApplicationData {
			text.Write(content)
		}
	}
	return text.String()
}

// serveOpenSSL lets an OpenSSL client deliver a message over STARTTLS, and returns the
// TLS bytes seen at the server.
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

// speakSMTP accepts one message, which comes over secure after STARTTLS on plain.
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

// A tap keeps what passes on a connection of a client or a server.
type tap struct {
	net.Conn
	own, peer handshake.Side
	mu        sync.Mutex
	passed    []passage
}

type passage struct {
	from  handshake.Side
	bytes []byte
}

func (c *tap) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.keep(c.peer, b[:n])
	return n, err
}

func (c *tap) Write(b []byte) (int, error) {
	c.keep(c.own, b)
	return c.Conn.Write(b)
}

func (c *tap) keep(from handshake.Side, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed = append(c.passed, passage{from, append([]byte(nil), b...)})
}

// transcript feeds what has passed to a recorder with keys.
func (c *tap) transcript(keys *keylog.Log) *handshake.Transcript {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := time.Now()
	r := handshake.NewRecorder(handshake.OnWire, start)
	r.UseKeys(keys)
	for _, p := range c.passed {
		r.Feed(p.from, p.bytes, start)
	}
	return r.Transcript()
}

// outline returns the messages of a transcript without ChangeCipherSpec, on a line for
// what a side sent without an answer. Inferred types have a question mark.
func outline(t *handshake.Transcript) string {
	var b strings.Builder
	var last handshake.Side
	for _, m := range t.Messages {
		if m.Type == handshake.TypeChangeCipherSpec {
			continue
		}
		if m.From != last {
			fmt.Fprintf(&b, "\n%s: ", m.From)
			last = m.From
		}
		b.WriteString(m.Type.String())
		if m.Inferred {
			b.WriteString("?")
		}
		b.WriteString(" ")
	}
	return strings.ReplaceAll(strings.TrimSpace(b.String()), " \n", "\n")
}

func check(t *testing.T, got *handshake.Transcript, want ...string) {
	t.Helper()
	if text, want := outline(got), strings.Join(want, "\n"); text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}
