package persona_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/interop"
	"postern/sessionticket"
)

// Where a persona fails, its handshake looks like its case.
func TestPersonaPlaysItsCase(t *testing.T) {
	for id, change := range map[string]func(*server){
		"early-ticket":            func(s *server) { s.policy = sessionticket.Stock },
		"ticket-after-finished":   func(s *server) { s.policy = sessionticket.OwnWrite },
		"ticket-surprises-client": func(*server) {},
		"large-ticket":            func(s *server) { s.policy, s.config.ClientAuth = sessionticket.Stock, tls.RequestClientCert },
		"tls10-only":              func(*server) {},
		"falls-back-to-plaintext": func(*server) {},
		"rsa-only-client":         func(*server) {},
		"sha1-signatures-only":    func(*server) {},
		"hello-retry-refused":     func(s *server) { s.config.CurvePreferences = []tls.CurveID{tls.CurveP256} },
		"certificate-refused":     func(*server) {},
		"client-certificate-asked": func(s *server) {
			s.config.ClientAuth, s.config.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
		},
		"unknown-sni": func(s *server) {
			s.config.Certificates = nil
			s.config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
		},
	} {
		t.Run(id, func(t *testing.T) {
			s := newServer(t)
			change(s)
			p := find(t, id)
			v := p.Visit(t.Context(), target(s.start(t)))
			if v.In || v.Err == nil {
				t.Fatalf("it got in: %v", v.Err)
			}
			silent := id == "ticket-after-finished" || id == "ticket-surprises-client" || id == "large-ticket"
			if said := v.Transcript.End.Err; (said == "") != silent {
				t.Errorf("TLS said %q of the end; the client left of its own accord: %v", said, silent)
			}
			if last := v.Transcript.Messages[len(v.Transcript.Messages)-1]; silent && last.From != handshake.Server {
				t.Errorf("the client said %v after the ticket", last.Type)
			}
			diagnoses := interop.Diagnose(v.Transcript)
			if len(diagnoses) == 0 || diagnoses[0].Case.ID != p.Case {
				t.Errorf("diagnosed as %s, want %s; it ended with %v\n%s",
					ids(diagnoses), p.Case, v.Err, v.Transcript.Draw(handshake.DrawOptions{}))
			}
		})
	}
}

func ids(diagnoses []interop.Diagnosis) string {
	var b strings.Builder
	for _, d := range diagnoses {
		b.WriteString(d.Case.ID + " ")
	}
	return b.String()
}

// A recogniser knows the groups of crypto/tls, and so of no server that lacks P-521.
func TestGroupMismatchFailsWithoutP521(t *testing.T) {
	s := newServer(t)
	s.config.CurvePreferences = []tls.CurveID{tls.X25519}
	checkVisit(t, "group-mismatch", find(t, "group-mismatch").Visit(t.Context(), target(s.start(t))), noShared)
}

func TestOtherGroupsAreSurvived(t *testing.T) {
	for group, ids := range map[tls.CurveID][]string{
		tls.X25519:    {"p521-first", "hello-retry", "hello-retry-refused", "healthy-gnutls"},
		tls.CurveP256: {"p521-first", "hello-retry", "big-hello", "healthy-openssl", "healthy-schannel"},
		tls.CurveP384: {"hello-retry", "big-hello", "healthy-openssl", "healthy-gnutls", "healthy-schannel"},
	} {
		t.Run(group.String(), func(t *testing.T) {
			s := newServer(t)
			s.config.CurvePreferences = []tls.CurveID{group}
			at := target(s.start(t))
			for _, id := range ids {
				p := find(t, id)
				v := p.Visit(t.Context(), at)
				checkVisit(t, id, v, in)
				checkVisit(t, id+" again", p.Return(t.Context(), at, v), in)
			}
		})
	}
}

func TestUnknownNameIsRefusedBySomeServers(t *testing.T) {
	s := newServer(t)
	certificate := s.config.Certificates[0]
	s.config.Certificates = nil
	s.config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if hello.ServerName != "localhost" {
			return nil, errors.New("no certificate for " + hello.ServerName)
		}
		return &certificate, nil
	}
	at := target(s.start(t))
	for id, want := range map[string]string{
		"healthy-go": in, "unknown-sni": "internal error", "no-sni": "internal error", "sni-address": "internal error",
	} {
		checkVisit(t, id, find(t, id).Visit(t.Context(), at), want)
	}
}

// A persona's ID is its file's name, and a case's where it is the case's own.
func TestIDsPairWithFilesAndCases(t *testing.T) {
	seen := make(map[string]bool)
	for _, p := range persona.All() {
		if seen[p.ID] {
			t.Errorf("%s: twice", p.ID)
		}
		seen[p.ID] = true
		source, err := os.ReadFile(strings.ReplaceAll(p.ID, "-", "_") + ".go")
		if err != nil || !strings.Contains(string(source), `"`+p.ID+`"`) {
			t.Errorf("%s: its file does not have it: %v", p.ID, err)
		}
		if _, ok := interop.Find(p.Case); !ok && p.Case != "" {
			t.Errorf("%s: there is no case %s", p.ID, p.Case)
		}
		if _, ok := interop.Find(p.ID); ok && p.Case != p.ID {
			t.Errorf("%s: there is a case of that ID, and it is said to be of %q", p.ID, p.Case)
		}
		if p.Does == "" || strings.ContainsAny(p.Does, "\n") || strings.HasSuffix(p.Does, ".") {
			t.Errorf("%s: does %q, want one line without a full stop", p.ID, p.Does)
		}
		if p.Healthy != strings.HasPrefix(p.ID, "healthy-") {
			t.Errorf("%s: healthy is %v", p.ID, p.Healthy)
		}
	}
	for id := range matrix {
		if !seen[id] {
			t.Errorf("%s stands in the matrix and is no persona", id)
		}
	}
}

func newServer(t *testing.T) *server {
	t.Helper()
	pair := testcert.New(t, testcert.Options{})
	return &server{config: &tls.Config{Certificates: []tls.Certificate{pair.TLS}}}
}

// target is a server on loopback whose certificate nobody knows.
func target(addr string) persona.Target {
	return persona.Target{Addr: addr, ServerName: "localhost", EHLO: "sender.test"}
}

func find(t *testing.T, id string) *persona.Persona {
	t.Helper()
	p, ok := persona.Find(id)
	if !ok {
		t.Fatalf("there is no persona %s", id)
	}
	return p
}
