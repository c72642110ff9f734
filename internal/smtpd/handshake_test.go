package smtpd

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"

	"postern/sessionticket"
)

func TestAPanicInAHandshakeEndsItsSessionAlone(t *testing.T) {
	fault := true
	s := startServer(t, func(set *Settings, _ *memoryHop) {
		cert := set.TLS.Certificates[0]
		set.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if fault {
				panic("a fault of the certificates")
			}
			return &cert, nil
		}}
	})
	c := s.dial(t)
	c.play(toTLS)
	if err := c.Handshake(&tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("the handshake completed")
	}
	if r := s.result(); r.End != "panic" || !strings.Contains(r.Err.Error(), "a fault of the certificates") || !strings.Contains(r.Err.Error(), "handshake_test.go") {
		t.Errorf("ended with %q: %v; want the fault and where it was", r.End, r.Err)
	}
	fault = false
	s.dial(t).play(toTLS + "TLS\n> EHLO a.example\n< 250 *")
}

// Alerts and metrics ask whether the gate has been bypassed.
func TestABypassedGateIsInTheState(t *testing.T) {
	s := startServer(t, nil)
	if s.State().GateBypassed {
		t.Error("the gate of a new server is bypassed")
	}
	s.gate.OnBypass(sessionticket.ErrNotWrapped)
	if !s.State().GateBypassed {
		t.Error("the state does not say that the gate is bypassed")
	}
}

// A sender that does not speak TLS at a port for implicit TLS hears no greeting that it could take for
// SMTP (RFC 8314, Section 3).
func TestNoGreetingWithoutImplicitTLS(t *testing.T) {
	s := startServer(t, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.ServeTLS(ln)
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "EHLO a.example\r\n"); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(conn)
	if err != nil || len(said) != 0 {
		t.Errorf("%q, %v", said, err)
	}
	if r := s.result(); r.End != "TLS handshake failed" {
		t.Errorf("the session ended with %q", r.End)
	}
}
