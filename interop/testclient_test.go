package interop_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"postern/internal/testcert"
	"postern/internal/testsmtp"
	"postern/internal/tlsrecord"
	"postern/sessionticket"
	"postern/sessionticket/strictclient"
)

func thisGo(*testing.T) string { return "a test client on crypto/tls " + runtime.Version() }

func rawBytes(*testing.T) string { return "bytes written by hand" }

// testClients behave as the sources of a case describe, on crypto/tls or below it. None
// claims to be the software described.
var testClients = []scenario{
	{
		name: "early-ticket", comment: "the client closes when a ticket arrives before its Finished; the server's mode is stock",
		peer: thisGo, mode: sessionticket.Stock,
		play: playStrictly(anyCertificate()),
	},
	{
		name: "early-ticket.retried", comment: "the same after a HelloRetryRequest",
		peer: thisGo, mode: sessionticket.Stock,
		server: only(tls.CurveP521),
		play:   playStrictly(anyCertificate()),
	},
	{
		name: "ticket-after-finished", comment: "the client closes when a ticket arrives, before it sends a command",
		peer: thisGo, mode: sessionticket.OwnWrite,
		play: func(t *testing.T, _ *receiver, addr string) {
			conn, secure := newClient(t, addr, anyCertificate())
			secure.Handshake()
			conn.readAll(1)
			conn.Close()
		},
	},
	{
		name: "ticket-surprises-client", comment: "the client sends EHLO and closes when the ticket arrives with the reply",
		peer: thisGo, mode: sessionticket.FirstWrite,
		play: playSurprised,
	},
	{
		name: "ticket-surprises-client.stock", comment: "the same with a ticket before the client's Finished",
		peer: thisGo, mode: sessionticket.Stock,
		play: playSurprised,
	},
	{
		name: "large-ticket", comment: "the client sends four certificates, which the ticket holds, and closes when the ticket arrives",
		peer: thisGo, mode: sessionticket.Stock,
		server: func(_ *testing.T, r *receiver) { r.config.ClientAuth = tls.RequestClientCert },
		play: func(t *testing.T, _ *receiver, addr string) {
			config := anyCertificate()
			chain := testcert.New(t, testcert.Options{RSA: true}).TLS
			for range 3 {
				chain.Certificate = append(chain.Certificate, chain.Certificate[0])
			}
			config.Certificates = []tls.Certificate{chain}
			conn, secure := newClient(t, addr, config)
			secure.Handshake()
			conn.readAll(1)
			conn.Close()
		},
	},
	{
		name: "schannel-tls12-ticket", comment: "the client closes when the TLS 1.2 ticket arrives",
		peer: thisGo,
		play: func(t *testing.T, _ *receiver, addr string) {
			config := anyCertificate()
			config.MaxVersion = tls.VersionTLS12
			conn, secure := newClient(t, addr, config)
			conn.afterWrite(2, nil) // the ClientHello, then ClientKeyExchange to Finished
			secure.Handshake()
		},
	},
	{
		name: "cached-session-alert", comment: "the client offers a TLS 1.2 session and answers the resumption with the alert unexpected_message",
		peer: thisGo, pick: 1,
		play: playForgetful(tls.VersionTLS12),
	},
	{
		name: "cached-session-alert.tls13", comment: "the same with TLS 1.3",
		peer: thisGo, pick: 1,
		play: playForgetful(tls.VersionTLS13),
	},
	{
		name: "every-other-connection", comment: "the server's UnwrapSession fails, and crypto/tls closes without an alert",
		peer: thisGo, pick: 1,
		server: func(_ *testing.T, r *receiver) {
			r.config.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) {
				return nil, errors.New("no such session")
			}
		},
		play: playTwice,
	},
	{
		name: "every-other-connection.wrong-session", comment: "the server's UnwrapSession returns a session that is not the ticket's",
		peer: thisGo, pick: 2,
		server: mixSessionsUp,
		play: func(t *testing.T, r *receiver, addr string) {
			sendCommands(t, addr, anyCertificate(), aMail...) // the others get this session
			playTwice(t, r, addr)
		},
	},
	{
		name: "hello-retry-refused", comment: "the client has no key share that the server accepts, and closes on HelloRetryRequest",
		peer: thisGo, server: only(tls.CurveP521),
		play: playRetryRefused(nil),
	},
	{
		name: "hello-retry-refused.alert", comment: "the same with an alert",
		peer: thisGo, server: only(tls.CurveP521),
		play: playRetryRefused(fatal(10)),
	},
	{
		name: "big-hello", comment: "the second segment of a ClientHello with X25519MLKEM768 never arrives",
		peer: thisGo, server: impatient,
		play: func(t *testing.T, _ *receiver, addr string) {
			conn, secure := newClient(t, addr, anyCertificate())
			conn.cutAt = segment
			secure.Handshake() // returns when the server gives up
		},
	},
	{
		name: "big-hello.closed", comment: "the same, and a device on the path closes",
		peer: thisGo,
		play: func(t *testing.T, _ *receiver, addr string) {
			conn, secure := newClient(t, addr, anyCertificate())
			conn.cutAt = segment
			conn.afterWrite(1, nil)
			secure.Handshake()
		},
	},
	{
		name: "ml-dsa-hello", comment: "a device on the path resets the connection before the server answers",
		peer: thisGo, linux: true, server: answersOnlyWhoLeft,
		play: playMLDSA(reset),
	},
	{
		name: "unknown.ml-dsa-leaves-before-the-flight", comment: "the same client closes by itself",
		peer: thisGo, linux: true, server: answersOnlyWhoLeft,
		play: playMLDSA(func(conn *net.TCPConn) { conn.Close() }),
	},
	{
		name: "unknown.reset-before-the-flight", comment: "a client without ML-DSA, and a reset before the server answers",
		peer: thisGo, linux: true, server: answersOnlyWhoLeft,
		play: func(t *testing.T, r *receiver, addr string) {
			conn := startTLS(t, addr)
			without := schemesConn{conn, mlDSA, pkcs1} // crypto/tls offers ML-DSA since Go 1.27
			tls.Client(&wire{Conn: without, deaf: true}, anyCertificate()).Handshake()
			reset(conn.(*net.TCPConn))
			close(r.left)
		},
	},
	{
		name: "flight-did-not-arrive", comment: "the client's window takes only the beginning of the server's flight",
		peer: thisGo, linux: true,
		server: func(t *testing.T, r *receiver) {
			impatient(t, r)
			for range 32 {
				chain := &r.config.Certificates[0].Certificate
				*chain = append(*chain, (*chain)[0])
			}
		},
		play: func(t *testing.T, _ *receiver, addr string) {
			conn := startTLSBy(t, smallWindow, addr)
			tls.Client(&wire{Conn: conn, deaf: true}, anyCertificate()).Handshake()
		},
	},
	{
		name: "unknown.leaves-before-the-flight", comment: "closes after its ClientHello, before the server answers with a ticket in its flight",
		peer: thisGo, linux: true, mode: sessionticket.Stock, server: answersOnlyWhoLeft,
		play: func(t *testing.T, r *receiver, addr string) {
			conn := startTLS(t, addr)
			tls.Client(&wire{Conn: conn, deaf: true}, anyCertificate()).Handshake()
			conn.Close()
			close(r.left)
		},
	},
	{
		name: "sslv2-hello", comment: "an SSL 2.0 CLIENT-HELLO for TLS 1.0",
		peer: rawBytes,
		play: playBytes("\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" +
			"\x00\x00\x39\x00\x00\x38\x00\x00\x35\x00\x00\x16\x00\x00\x13\x00\x00\x0a\x07\x00\xc0" + "0123456789abcdef"),
	},
	{
		name: "certificate-refused.go", comment: "the client verifies, and the issuer is unknown",
		peer: func(*testing.T) string { return "crypto/tls " + runtime.Version() },
		play: func(t *testing.T, _ *receiver, addr string) {
			_, secure := newClient(t, addr, &tls.Config{ServerName: "localhost"})
			secure.Handshake()
		},
	},
	{
		name: "leaves-after-handshake.silent", comment: "the client closes silently after the handshake; the server sends no tickets",
		peer: thisGo, mode: sessionticket.NoTicket,
		play: func(t *testing.T, _ *receiver, addr string) {
			conn, secure := newClient(t, addr, anyCertificate())
			secure.Handshake()
			conn.Close()
		},
	},
	{
		name: "inspected-by-firewall", comment: "the letter X instead of TLS",
		peer: rawBytes, play: playBytes("XXXXXXXX\r\n"),
	},
	{
		name: "plaintext-after-starttls", comment: "the client continues in plaintext",
		peer: rawBytes, play: playBytes("MAIL FROM:<sender@sender.test>\r\n"),
	},
	{
		name: "tls-without-starttls", comment: "the client starts TLS at once, and reads the greeting",
		peer:   thisGo,
		server: func(_ *testing.T, r *receiver) { r.fromStart = true },
		play: func(t *testing.T, _ *receiver, addr string) {
			c, err := testsmtp.Connect(addr, "")
			if err != nil {
				t.Fatal(err)
			}
			tls.Client(c.Conn, anyCertificate()).Handshake()
			c.Close()
		},
	},
	{
		name: "healthy.port-scanner", comment: "STARTTLS, then nothing",
		peer: rawBytes, play: playBytes(""),
	},
	{
		name: "healthy.http-scanner", comment: "an HTTP request instead of TLS",
		peer: rawBytes, play: playBytes("GET / HTTP/1.1\r\n\r\n"),
	},
	{
		name: "healthy.health-check", comment: "EHLO and QUIT over TLS",
		peer: func(*testing.T) string { return "crypto/tls " + runtime.Version() },
		play: func(t *testing.T, _ *receiver, addr string) {
			sendCommands(t, addr, anyCertificate(), "EHLO check.test", "QUIT")
		},
	},
	{
		name: "healthy.go", comment: "full TLS 1.3 handshake",
		peer: func(*testing.T) string { return "crypto/tls " + runtime.Version() },
		play: playTwice,
	},
	{
		name: "healthy.go-resumed", comment: "resumed",
		peer: func(*testing.T) string { return "crypto/tls " + runtime.Version() }, pick: 1,
		play: playTwice,
	},
	{
		name: "healthy.go-client-certificate", comment: "the server requests a certificate, and the client has one",
		peer:   func(*testing.T) string { return "crypto/tls " + runtime.Version() },
		server: func(_ *testing.T, r *receiver) { r.config.ClientAuth = tls.RequestClientCert },
		play: func(t *testing.T, r *receiver, addr string) {
			config := anyCertificate()
			config.Certificates = []tls.Certificate{r.pair.TLS}
			sendCommands(t, addr, config, aMail...)
		},
	},
	{
		name: "unknown.leaves-after-server-hello", comment: "closes when the server answers, as some scanners do; no ticket was sent",
		peer: thisGo,
		play: func(t *testing.T, _ *receiver, addr string) {
			conn, secure := newClient(t, addr, anyCertificate())
			conn.afterWrite(1, nil)
			secure.Handshake()
		},
	},
	{
		name: "unknown.no-tls", comment: "bytes that are neither TLS nor a command",
		peer: rawBytes, play: playBytes("\x00\x01\x02\x03\x04\x05\x06\x07"),
	},
}

// aMail are the commands that send a message.
var aMail = []string{"EHLO sender.test", "MAIL FROM:<sender@sender.test>", "QUIT"}

// segment is the number of bytes of a ClientHello in a TCP segment.
const segment = 1400

// patience limits how long a client waits.
const patience = time.Minute

func anyCertificate() *tls.Config {
	return &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
}

func only(group tls.CurveID) func(*testing.T, *receiver) {
	return func(_ *testing.T, r *receiver) { r.config.CurvePreferences = []tls.CurveID{group} }
}

// impatient makes the server give up soon, for scenarios that wait for it.
func impatient(_ *testing.T, r *receiver) { r.handshakeTime = time.Second }

// fatal returns a plaintext record with a fatal alert (RFC 8446, Section 6).
func fatal(description byte) []byte {
	return append(tlsrecord.AppendHeader(nil, tlsrecord.Alert, 2), 2, description)
}

// sendCommands sends commands over TLS, reads the reply to each, and closes with close_notify.
func sendCommands(t *testing.T, addr string, config *tls.Config, commands ...string) error {
	t.Helper()
	_, secure := newClient(t, addr, config)
	defer secure.Close()
	in := bufio.NewReader(secure)
	for _, command := range commands {
		if _, err := io.WriteString(secure, command+"\r\n"); err != nil {
			return err
		}
		if _, err := in.ReadString('\n'); err != nil {
			return err
		}
	}
	return nil
}

// playTwice connects twice with one session cache; with some servers it fails.
func playTwice(t *testing.T, _ *receiver, addr string) {
	config := anyCertificate()
	for range 2 {
		sendCommands(t, addr, config, aMail...)
	}
}

func playStrictly(config *tls.Config) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		secure := tls.Client(strictclient.New(startTLS(t, addr)), config)
		if err := secure.Handshake(); !errors.Is(err, strictclient.ErrEarlyTicket) {
			t.Errorf("the strict client succeeded: %v", err)
		}
	}
}

func playSurprised(t *testing.T, _ *receiver, addr string) {
	conn, secure := newClient(t, addr, anyCertificate())
	io.WriteString(secure, "EHLO sender.test\r\n")
	conn.readAll(1)
	conn.Close()
}

// playForgetful succeeds once, and the second time answers the server's first flight with
// an alert.
func playForgetful(version uint16) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		config := anyCertificate()
		config.MaxVersion = version
		sendCommands(t, addr, config, aMail...)
		conn, secure := newClient(t, addr, config)
		conn.afterWrite(1, fatal(10))
		secure.Handshake()
	}
}

func playRetryRefused(last []byte) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		conn, secure := newClient(t, addr, anyCertificate())
		conn.afterWrite(1, last)
		secure.Handshake()
	}
}

// playBytes sends bytes instead of TLS, and closes when the server sends something.
func playBytes(text string) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		conn := startTLS(t, addr)
		if text != "" {
			io.WriteString(conn, text)
			conn.Read(make([]byte, 1024))
		}
		conn.Close()
	}
}

// mixSessionsUp makes the server resume the session of the first ticket for every ticket.
func mixSessionsUp(_ *testing.T, r *receiver) {
	var mu sync.Mutex
	var labels [][]byte
	r.config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		label, err := ss.Bytes()
		labels = append(labels, label)
		return bytes.Repeat([]byte{byte(len(labels))}, 16), err
	}
	r.config.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) {
		mu.Lock()
		defer mu.Unlock()
		return tls.ParseSessionState(labels[0])
	}
}

// startTLS connects to addr and sends STARTTLS.
func startTLS(t *testing.T, addr string) net.Conn {
	t.Helper()
	return startTLSBy(t, net.Dialer{}, addr)
}

func startTLSBy(t *testing.T, dialer net.Dialer, addr string) net.Conn {
	t.Helper()
	conn, err := dialer.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	c := testsmtp.New(conn)
	t.Cleanup(c.Close)
	if err := cmp.Or(c.Expect("", 220), c.Expect("STARTTLS\r\n", 220)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// smallWindow dials with a small receive window, of some 1,000 bytes on Linux.
var smallWindow = net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
	c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1) })
	return err
}}

// newClient returns a client before its handshake, and the wire below it.
func newClient(t *testing.T, addr string, config *tls.Config) (*wire, *tls.Conn) {
	t.Helper()
	below := &wire{Conn: startTLS(t, addr)}
	return below, tls.Client(below, config)
}

// answersOnlyWhoLeft makes the server answer when the client has left.
func answersOnlyWhoLeft(_ *testing.T, r *receiver) {
	r.config.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		<-r.left
		return &r.pair.TLS, nil
	}
}

// reset closes a connection with a TCP reset.
func reset(conn *net.TCPConn) {
	conn.SetLinger(0)
	conn.Close()
}

// playMLDSA sends a ClientHello that offers ML-DSA in place of PKCS #1, and leaves before the
// server answers.
func playMLDSA(leave func(*net.TCPConn)) func(*testing.T, *receiver, string) {
	return func(t *testing.T, r *receiver, addr string) {
		conn := startTLS(t, addr)
		tls.Client(&wire{Conn: schemesConn{conn, pkcs1, mlDSA}, deaf: true}, anyCertificate()).Handshake()
		leave(conn.(*net.TCPConn))
		close(r.left)
	}
}

// A schemesConn exchanges three signature schemes of a ClientHello.
type schemesConn struct {
	net.Conn
	from, to []byte
}

func (c schemesConn) Write(b []byte) (int, error) {
	return c.Conn.Write(bytes.Replace(b, c.from, c.to, 1))
}

var pkcs1, mlDSA = []byte{4, 1, 5, 1, 6, 1}, []byte{9, 4, 9, 5, 9, 6}

// A wire is a connection below a client. It can cut what is written and leave where
// crypto/tls would not.
type wire struct {
	net.Conn
	cutAt   int // bytes of the first write that are sent; 0: all
	writes  int
	leaveAt int    // after that many writes the server's next answer ends the connection
	last    []byte // what is sent on leaving
	deaf    bool   // nothing is read
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
	if w.deaf {
		return 0, io.EOF
	}
	if w.leaveAt == 0 || w.writes != w.leaveAt {
		return w.Conn.Read(b)
	}
	if w.cutAt == 0 {
		w.readAll(1) // otherwise the server sends nothing
	}
	w.Conn.Write(w.last)
	w.Conn.Close()
	return 0, io.EOF
}

// readAll waits for that many writes of the server, each of which arrives whole.
func (w *wire) readAll(writes int) {
	b := make([]byte, 64<<10)
	for range writes {
		w.Conn.Read(b)
	}
}
