package testpeer_test

import (
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"

	"postern/internal/testpeer"
)

// dots is a message with dots at the start of lines.
var dots = testpeer.Message{Text: "Subject: dots\n\n.one\n..two\nRquit\nQuit\n.\nlast\n"}

const dotsSent = "Subject: dots\r\n\r\n.one\r\n..two\r\nRquit\r\nQuit\r\n.\r\nlast\r\n"

// checkDots checks that a client reported success and really sent dots.
func checkDots(t *testing.T, s *server, d testpeer.Delivery) {
	t.Helper()
	if !d.Delivered {
		t.Fatalf("not delivered, last reply %q:\n%s", d.Reply, d.Output)
	}
	if text, _ := s.last(t); text != dotsSent {
		t.Errorf("arrived %q, want %q", text, dotsSent)
	}
}

// checkHandshake checks that the last message came over the configured handshake.
func checkHandshake(t *testing.T, s *server, h testpeer.Handshake) {
	t.Helper()
	_, state := s.last(t)
	if got, want := state.Version == tls.VersionTLS12, h == testpeer.TLS12Handshake; got != want {
		t.Errorf("TLS 1.2: %v, want %v", got, want)
	}
	if got, want := state.HelloRetryRequest, h == testpeer.RetriedHandshake; got != want {
		t.Errorf("HelloRetryRequest: %v, want %v", got, want)
	}
	if got, want := s.offersECDSA(), h != testpeer.RSAHandshake; got != want {
		t.Errorf("accepts ECDSA: %v, want %v", got, want)
	}
}

func TestOpenSSLDelivers(t *testing.T) {
	s := startServer(t)
	for _, h := range testpeer.Handshakes {
		t.Run(h.String(), func(t *testing.T) {
			d := testpeer.SendOpenSSL(t, s.addr, testpeer.OpenSSLOptions{Message: dots, Handshake: h})
			checkDots(t, s, d)
			checkHandshake(t, s, h)
		})
	}
}

func TestOpenSSLResumesFromItsSessionFile(t *testing.T) {
	s := startServer(t)
	for _, h := range []testpeer.Handshake{testpeer.UsualHandshake, testpeer.TLS12Handshake} {
		t.Run(h.String(), func(t *testing.T) {
			o := testpeer.OpenSSLOptions{Handshake: h, SessionFile: filepath.Join(t.TempDir(), "session")}
			for _, resumed := range []bool{false, true, true} {
				d := testpeer.SendOpenSSL(t, s.addr, o)
				_, state := s.last(t)
				if !d.Delivered || d.Resumed != resumed || state.DidResume != resumed {
					t.Errorf("delivered %v, resumed %v by the client and %v by the server, want %v:\n%s",
						d.Delivered, d.Resumed, state.DidResume, resumed, d.Output)
				}
			}
		})
	}
}

func TestOpenSSLVerifiesTheCertificate(t *testing.T) {
	s, other := startServer(t), startServer(t)
	for _, tt := range []struct {
		name, file string
		want       bool
	}{{"right", s.pair.CertFile, true}, {"wrong", other.pair.CertFile, false}} {
		t.Run(tt.name, func(t *testing.T) {
			d := testpeer.SendOpenSSL(t, s.addr, testpeer.OpenSSLOptions{CAFile: tt.file})
			if d.Delivered != tt.want {
				t.Errorf("delivered: %v, want %v:\n%s", d.Delivered, tt.want, d.Output)
			}
		})
	}
}

func TestGnuTLSDeliversAndResumes(t *testing.T) {
	s := startServer(t)
	for _, h := range testpeer.Handshakes {
		t.Run(h.String(), func(t *testing.T) {
			d := testpeer.SendGnuTLS(t, s.addr, testpeer.GnuTLSOptions{Message: dots, Handshake: h})
			checkDots(t, s, d)
			checkHandshake(t, s, h)
			if _, state := s.last(t); !d.Resumed || !state.DidResume {
				t.Errorf("resumed %v by the client, %v by the server, want both:\n%s", d.Resumed, state.DidResume, d.Output)
			}
		})
	}
}

func TestSwaksDelivers(t *testing.T) {
	s := startServer(t)
	for _, h := range testpeer.Handshakes {
		t.Run(h.String(), func(t *testing.T) {
			d := testpeer.SendSwaks(t, s.addr, testpeer.SwaksOptions{Message: dots, Handshake: h})
			checkDots(t, s, d)
			checkHandshake(t, s, h)
		})
	}
}

func TestRefusedMessageIsAResult(t *testing.T) {
	s := startServer(t)
	m := testpeer.Message{To: "refused@localhost"}
	for name, d := range map[string]testpeer.Delivery{
		"openssl": testpeer.SendOpenSSL(t, s.addr, testpeer.OpenSSLOptions{Message: m}),
		"gnutls":  testpeer.SendGnuTLS(t, s.addr, testpeer.GnuTLSOptions{Message: m}),
		"swaks":   testpeer.SendSwaks(t, s.addr, testpeer.SwaksOptions{Message: m}),
	} {
		if d.Delivered || !strings.HasPrefix(d.Reply, "550 5.1.1") {
			t.Errorf("%s: delivered %v, reply %q, want a 550:\n%s", name, d.Delivered, d.Reply, d.Output)
		}
	}
}
