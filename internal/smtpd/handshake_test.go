package smtpd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// What goes wrong in the configuration of TLS ends the handshake, with its words.
func TestAFaultOfTheTLSConfigurationEndsTheHandshake(t *testing.T) {
	fault := errors.New("a fault of the configuration")
	for name, change := range map[string]func(*tls.Config){
		"the certificate": func(c *tls.Config) {
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, fault }
		},
		"the configuration": func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, fault }
		},
		"a ticket": func(c *tls.Config) {
			c.WrapSession = func(tls.ConnectionState, *tls.SessionState) ([]byte, error) { return nil, fault }
		},
	} {
		s := startServer(t, func(set *Settings, _ *memoryHop) { change(set.TLS) })
		s.observed.mode = sessionticket.Stock
		c := s.dial(t)
		c.play(toTLS)
		c.Handshake(&tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1), ServerName: "mx.example.org"})
		if r := s.result(); r.End != "TLS handshake failed" || !strings.Contains(fmt.Sprint(r.Err), fault.Error()) {
			t.Errorf("%s: ended with %q: %v", name, r.End, r.Err)
		}
	}
}

// A brokenListener fails, as one does without descriptors.
type brokenListener struct {
	net.Listener
	closed bool
}

func (l *brokenListener) Accept() (net.Conn, error) { return nil, errors.ErrUnsupported }
func (l *brokenListener) Close() error              { l.closed = true; return nil }

func TestServeReturnsWhatTheListenerReturns(t *testing.T) {
	ln := new(brokenListener)
	if err := newPipeServer(t, Limits{}).Serve(ln); err != errors.ErrUnsupported || !ln.closed {
		t.Errorf("%v, closed %v", err, ln.closed)
	}
}

// Alerts and metrics ask whether the gate has been bypassed.
func TestABypassedGateIsInTheState(t *testing.T) {
	s := startServer(t, nil)
	var lines strings.Builder
	s.log = slog.New(slog.NewTextHandler(&lines, nil))
	if s.State().GateBypassed {
		t.Error("the gate of a new server is bypassed")
	}
	s.gate.OnBypass(sessionticket.ErrNotWrapped)
	if !s.State().GateBypassed {
		t.Error("the state does not say that the gate is bypassed")
	}
	if !strings.Contains(lines.String(), `level=ERROR msg="gate bypassed;`) {
		t.Errorf("the log has %q", lines.String())
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
