package interop_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"postern/sessionticket/strictclient"
)

// aMail is a message's commands.
var aMail = []string{"EHLO sender.test", "MAIL FROM:<sender@sender.test>", "QUIT"}

// segment is what a network segment holds of a ClientHello.
const segment = 1400

// patience bounds what a client waits for.
const patience = 20 * time.Second

func anyCertificate() *tls.Config {
	return &tls.Config{ServerName: "localhost", InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
}

func only(group tls.CurveID) func(*testing.T, *receiver) {
	return func(_ *testing.T, r *receiver) { r.config.CurvePreferences = []tls.CurveID{group} }
}

// impatient makes the server give up soon, which is what the scenario waits for.
func impatient(_ *testing.T, r *receiver) { r.handshakeTime = 200 * time.Millisecond }

// fatal is an alert as a record in clear (RFC 8446, Section 6).
func fatal(description byte) []byte { return []byte{21, 3, 3, 0, 2, 2, description} }

// visit says commands over TLS, reads the reply to each, and closes in good order.
func visit(t *testing.T, addr string, config *tls.Config, commands ...string) error {
	t.Helper()
	_, secure := handshaken(t, addr, config)
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

// playTwice visits twice with one session cache; a failure is what some servers give.
func playTwice(t *testing.T, _ *receiver, addr string) {
	config := anyCertificate()
	for range 2 {
		visit(t, addr, config, aMail...)
	}
}

func playStrictly(config *tls.Config) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		secure := tls.Client(strictclient.New(startTLS(t, addr)), config)
		if err := secure.Handshake(); !errors.Is(err, strictclient.ErrEarlyTicket) {
			t.Errorf("the strict client got in: %v", err)
		}
	}
}

func playSurprised(t *testing.T, _ *receiver, addr string) {
	conn, secure := handshaken(t, addr, anyCertificate())
	io.WriteString(secure, "EHLO sender.test\r\n")
	conn.readAll(1)
	conn.Close()
}

// playForgetful gets in once, and at the second time answers the server's first
// flight with an alert.
func playForgetful(version uint16) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		config := anyCertificate()
		config.MaxVersion = version
		visit(t, addr, config, aMail...)
		conn, secure := handshaken(t, addr, config)
		conn.afterWrite(1, fatal(10))
		secure.Handshake()
	}
}

func playRetryRefused(last []byte) func(*testing.T, *receiver, string) {
	return func(t *testing.T, _ *receiver, addr string) {
		conn, secure := handshaken(t, addr, anyCertificate())
		conn.afterWrite(1, last)
		secure.Handshake()
	}
}

// playBytes sends bytes where TLS was to begin, and closes when the server says something.
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

// mixSessionsUp makes the server answer each ticket with the session of the first.
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
