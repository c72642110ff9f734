package persona_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"postern/handshake"
	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/interop"
	"postern/sessionticket"
)

// Where a persona fails, its handshake is diagnosed as its case.
func TestFailedHandshakeIsDiagnosedAsThePersonasCase(t *testing.T) {
	for id, change := range map[string]func(*server){
		"early-ticket":            func(s *server) { s.mode = sessionticket.Stock },
		"ticket-in-finished-read": func(s *server) { s.mode = sessionticket.Stock },
		"ticket-after-finished":   func(s *server) { s.mode = sessionticket.OwnWrite },
		"ticket-with-data":        func(s *server) { s.mode = sessionticket.FirstWrite },
		"ticket-surprises-client": func(*server) {},
		"large-ticket":            func(s *server) { s.mode, s.config.ClientAuth = sessionticket.Stock, tls.RequestClientCert },
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
			v := p.Run(t.Context(), target(s.start(t)))
			if v.Completed || v.Err == nil {
				t.Fatalf("the handshake completed: %v", v.Err)
			}
			silent := id == "ticket-after-finished" || id == "ticket-surprises-client" || id == "ticket-with-data" || id == "large-ticket"
			if said := v.Transcript.End.Err; (said == "") != silent {
				t.Errorf("TLS ended with %q; the client closed by itself: %v", said, silent)
			}
			if last := v.Transcript.Messages[len(v.Transcript.Messages)-1]; silent && last.From != handshake.Server {
				t.Errorf("the client sent %v after the ticket", last.Type)
			}
			diagnoses, _ := interop.Diagnose(v.Transcript)
			if len(diagnoses) == 0 || diagnoses[0].Case.ID != p.Case {
				t.Errorf("diagnosed as %s, want %s; the run ended with %v\n%s",
					ids(diagnoses), p.Case, v.Err, v.Transcript.Diagram(handshake.DiagramOptions{}))
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

// Order and coalescing are told apart by a server that sends its ticket before the client's
// Finished, but in a segment of its own, as a patch tried in golang/go#70232 did.
func TestTicketInItsOwnSegmentIsRefusedForItsOrderOnly(t *testing.T) {
	s := newServer(t)
	s.mode, s.flushes = sessionticket.Stock, true
	at := target(s.start(t))
	for range 20 { // the client reads both segments at once in some of them
		checkRun(t, "ticket-in-finished-read", find(t, "ticket-in-finished-read").Run(t.Context(), at), completed)
	}
}

// A server that speaks first sends the ticket and its greeting at once. TCP may give a client
// both in one read though they were two segments.
func TestTicketAndDataInOneReadButTwoSegmentsAreTolerated(t *testing.T) {
	s := newServer(t)
	s.mode, s.implicit = sessionticket.OwnWrite, true
	at := target(s.start(t))
	at.Protocol = persona.SMTPS
	for range 20 {
		checkRun(t, "ticket-with-data", find(t, "ticket-with-data").Run(t.Context(), at), completed)
	}
}

// The case in package interop assumes the groups of crypto/tls, so it does not match here.
func TestGroupMismatchFailsWithoutP521(t *testing.T) {
	s := newServer(t)
	s.config.CurvePreferences = []tls.CurveID{tls.X25519}
	checkRun(t, "group-mismatch", find(t, "group-mismatch").Run(t.Context(), target(s.start(t))), noShared)
}

func TestHelloRetryRequestForOtherGroups(t *testing.T) {
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
				v := p.Run(t.Context(), at)
				checkRun(t, id, v, completed)
				checkRun(t, id+" again", p.Resume(t.Context(), at, v), completed)
			}
		})
	}
}

func TestServerWithoutDefaultCertificateRejectsUnknownNames(t *testing.T) {
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
		"healthy-go": completed, "unknown-sni": "internal error", "no-sni": "internal error", "sni-address": "internal error",
	} {
		checkRun(t, id, find(t, id).Run(t.Context(), at), want)
	}
}

// Each persona is defined once, and has its case's ID unless it is a variant.
func TestIDsPairWithCases(t *testing.T) {
	source := sources(t)
	seen := make(map[string]bool)
	for _, p := range persona.All() {
		if seen[p.ID] {
			t.Errorf("%s: twice", p.ID)
		}
		seen[p.ID] = true
		if n := len(regexp.MustCompile(`ID: +"`+p.ID+`"`).FindAllString(source, -1)); n != 1 {
			t.Errorf("%s: defined %d times, want once", p.ID, n)
		}
		if _, ok := interop.Find(p.Case); !ok && p.Case != "" {
			t.Errorf("%s: there is no case %s", p.ID, p.Case)
		}
		if _, ok := interop.Find(p.ID); ok && p.Case != p.ID {
			t.Errorf("%s: there is a case with that ID, but its case is %q", p.ID, p.Case)
		}
		if p.Does == "" || strings.ContainsAny(p.Does, "\n") || strings.HasSuffix(p.Does, ".") {
			t.Errorf("%s: Does is %q, want one line without a full stop", p.ID, p.Does)
		}
		if p.Healthy != strings.HasPrefix(p.ID, "healthy-") {
			t.Errorf("%s: healthy is %v", p.ID, p.Healthy)
		}
	}
	for id := range matrix {
		if !seen[id] {
			t.Errorf("%s is in the matrix and is no persona", id)
		}
	}
}

// sources is the text of the package's files.
func sources(t *testing.T) string {
	t.Helper()
	names, err := filepath.Glob("[a-z]*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

func newServer(t *testing.T) *server {
	t.Helper()
	pair := testcert.New(t, testcert.Options{})
	return &server{config: &tls.Config{Certificates: []tls.Certificate{pair.TLS}}}
}

// target is a server on loopback whose certificate is not trusted.
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

// completed is the result of a persona whose handshake completes.
const completed = ""

// The other results, as parts of the error.
const (
	early     = "a record after its Finished and before the client's"
	ticket    = "the server sent a session ticket"
	withData  = "a session ticket and application data in one segment"
	useless   = "the server sent a session ticket that the client cannot use"
	noVersion = "protocol version not supported"
	noShared  = "handshake failure"
	undecoded = "error decoding message"
	stranger  = "certificate signed by unknown authority"
)

// A row has the result of a persona at each server.
type row struct{ stock, firstWrite, ownWrite, ticketsOff, openSSL, openSSLRSA string }

// matrix has a row for each persona. The servers have an ECDSA certificate but the
// last, which has RSA, accepts TLS 1.2 and later, and has an unknown issuer.
var matrix = map[string]row{
	"healthy-go":               {completed, completed, completed, completed, completed, completed},
	"healthy-openssl":          {completed, completed, completed, completed, completed, completed},
	"healthy-gnutls":           {completed, completed, completed, completed, completed, completed},
	"healthy-schannel":         {completed, completed, completed, completed, completed, completed},
	"early-ticket":             {early, completed, completed, completed, completed, completed},
	"ticket-in-finished-read":  {early, completed, completed, completed, completed, completed},
	"ticket-after-finished":    {ticket, ticket, ticket, completed, ticket, ticket},
	"ticket-surprises-client":  {ticket, ticket, ticket, completed, ticket, ticket},
	"ticket-with-data":         {completed, withData, completed, completed, completed, completed},
	"large-ticket":             {completed, completed, completed, completed, completed, completed}, // they ask for no certificate
	"ticket-without-psk-modes": {completed, completed, completed, completed, useless, useless},
	"tls12-only":               {completed, completed, completed, completed, completed, completed},
	"tls10-only":               {noVersion, noVersion, noVersion, noVersion, completed, noVersion},
	"falls-back-to-plaintext":  {noVersion, noVersion, noVersion, noVersion, completed, noVersion},
	"rsa-only-client":          {noShared, noShared, noShared, noShared, noShared, completed},
	"sha1-signatures-only":     {noShared, noShared, noShared, noShared, completed, completed},
	"group-mismatch":           {completed, completed, completed, completed, completed, completed}, // all have P-521
	"p521-first":               {completed, completed, completed, completed, completed, completed},
	"hello-retry":              {completed, completed, completed, completed, completed, completed},
	"hello-retry-refused":      {completed, completed, completed, completed, completed, completed}, // all have X25519
	"big-hello":                {completed, completed, completed, completed, completed, completed},
	"big-hello-split":          {completed, completed, completed, completed, completed, completed},
	"big-hello-bytes":          {completed, completed, completed, completed, completed, completed},
	"ml-dsa-hello":             {completed, completed, completed, completed, completed, completed},
	"certificate-refused":      {completed, completed, completed, completed, completed, stranger},
	"client-certificate-asked": {completed, completed, completed, completed, completed, completed},
	"unknown-sni":              {completed, completed, completed, completed, completed, completed},
	"no-sni":                   {completed, completed, completed, completed, completed, completed},
	"sni-trailing-dot":         {undecoded, undecoded, undecoded, undecoded, completed, completed},
	"sni-address":              {completed, completed, completed, completed, completed, completed},
	"plaintext-after-starttls": {completed, completed, completed, completed, completed, completed}, // and nothing is executed
}

func TestEachPersonaAtEachServer(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	config := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	off := config.Clone()
	off.SessionTicketsDisabled = true
	for _, tt := range []struct {
		name  string
		start func(t *testing.T) (addr string)
		want  func(row) string
	}{
		{"stock", (&server{config: config, mode: sessionticket.Stock}).start, func(r row) string { return r.stock }},
		{"first write", (&server{config: config, mode: sessionticket.FirstWrite}).start, func(r row) string { return r.firstWrite }},
		{"own write", (&server{config: config, mode: sessionticket.OwnWrite}).start, func(r row) string { return r.ownWrite }},
		{"tickets off", (&server{config: off, mode: sessionticket.Stock}).start, func(r row) string { return r.ticketsOff }},
		{"OpenSSL", postfix(testpeer.PostfixOptions{Cert: pair}), func(r row) string { return r.openSSL }},
		{"OpenSSL with RSA", postfix(testpeer.PostfixOptions{
			Cert:   testcert.New(t, testcert.Options{RSA: true}),
			Config: []string{"smtpd_tls_protocols = >=TLSv1.2"},
		}), func(r row) string { return r.openSSLRSA }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			target := persona.Target{Addr: tt.start(t), ServerName: "localhost", EHLO: "sender.test", RootCAs: pair.Pool}
			checkHealthy(t, target)
			defer checkHealthy(t, target)
			for _, p := range persona.All() {
				r, known := matrix[p.ID]
				if !known {
					t.Errorf("%s has no row in the matrix", p.ID)
				}
				checkRun(t, p.ID, p.Run(t.Context(), target), tt.want(r))
			}
		})
	}
}

func postfix(o testpeer.PostfixOptions) func(*testing.T) string {
	return func(t *testing.T) string { return testpeer.StartPostfix(t, o).Addr }
}

// checkHealthy checks that the server works.
func checkHealthy(t *testing.T, target persona.Target) {
	t.Helper()
	p, _ := persona.Find("healthy-openssl")
	checkRun(t, "healthy-openssl", p.Run(t.Context(), target), completed)
}

// checkRun compares a result with the expected one. A handshake that completes unexpectedly
// is as wrong as one that fails.
func checkRun(t *testing.T, id string, v *persona.Result, want string) {
	t.Helper()
	switch {
	case v.Injected:
		t.Errorf("%s: a plaintext command behind STARTTLS was executed", id)
	case want == completed && (!v.Completed || v.Err != nil):
		t.Errorf("%s failed: %v", id, v.Err)
	case want != completed && v.Completed:
		t.Errorf("%s completed, want %q", id, want)
	case want != completed && (v.Err == nil || !strings.Contains(v.Err.Error(), want)):
		t.Errorf("%s ended with %v, want %q", id, v.Err, want)
	}
}
