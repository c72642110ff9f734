package persona_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"postern/internal/persona"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/sessionticket"
)

// in stands for a client that gets in.
const in = ""

// What else comes of a visit, as its error says it.
const (
	early     = "a record after its Finished and before the client's"
	ticket    = "the server sent a session ticket"
	useless   = "the server sent a session ticket that the client cannot use"
	noVersion = "protocol version not supported"
	noShared  = "handshake failure"
	undecoded = "error decoding message"
	stranger  = "certificate signed by unknown authority"
)

// A row says what comes of a persona at each server.
type row struct{ stock, gate, ownWrite, ticketsOff, openSSL, openSSLRSA string }

// matrix has a row for each persona. The servers have an ECDSA certificate but the
// last, which has RSA, takes TLS 1.2 and later, and whose issuer no client knows.
var matrix = map[string]row{
	"healthy-go":               {in, in, in, in, in, in},
	"healthy-openssl":          {in, in, in, in, in, in},
	"healthy-gnutls":           {in, in, in, in, in, in},
	"healthy-schannel":         {in, in, in, in, in, in},
	"early-ticket":             {early, in, in, in, in, in},
	"ticket-after-finished":    {ticket, ticket, ticket, in, ticket, ticket},
	"ticket-surprises-client":  {ticket, ticket, ticket, in, ticket, ticket},
	"large-ticket":             {in, in, in, in, in, in}, // they ask for no certificate
	"ticket-without-psk-modes": {in, in, in, in, useless, useless},
	"tls12-only":               {in, in, in, in, in, in},
	"tls10-only":               {noVersion, noVersion, noVersion, noVersion, in, noVersion},
	"falls-back-to-plaintext":  {noVersion, noVersion, noVersion, noVersion, in, noVersion},
	"rsa-only-client":          {noShared, noShared, noShared, noShared, noShared, in},
	"sha1-signatures-only":     {noShared, noShared, noShared, noShared, in, in},
	"group-mismatch":           {in, in, in, in, in, in}, // all have P-521
	"p521-first":               {in, in, in, in, in, in},
	"hello-retry":              {in, in, in, in, in, in},
	"hello-retry-refused":      {in, in, in, in, in, in}, // all have X25519
	"big-hello":                {in, in, in, in, in, in},
	"big-hello-split":          {in, in, in, in, in, in},
	"big-hello-bytes":          {in, in, in, in, in, in},
	"certificate-refused":      {in, in, in, in, in, stranger},
	"client-certificate-asked": {in, in, in, in, in, in},
	"unknown-sni":              {in, in, in, in, in, in},
	"no-sni":                   {in, in, in, in, in, in},
	"sni-trailing-dot":         {undecoded, undecoded, undecoded, undecoded, in, in},
	"sni-address":              {in, in, in, in, in, in},
	"plaintext-after-starttls": {in, in, in, in, in, in}, // and nothing is executed
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
		{"stock", (&server{config: config, policy: sessionticket.Stock}).start, func(r row) string { return r.stock }},
		{"gate", (&server{config: config}).start, func(r row) string { return r.gate }},
		{"own write", (&server{config: config, policy: sessionticket.OwnWrite}).start, func(r row) string { return r.ownWrite }},
		{"tickets off", (&server{config: off, policy: sessionticket.Stock}).start, func(r row) string { return r.ticketsOff }},
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
				checkVisit(t, p.ID, p.Visit(t.Context(), target), tt.want(r))
			}
		})
	}
}

func postfix(o testpeer.PostfixOptions) func(*testing.T) string {
	return func(t *testing.T) string { return testpeer.StartPostfix(t, o).Addr }
}

// checkHealthy shows that the server is well.
func checkHealthy(t *testing.T, target persona.Target) {
	t.Helper()
	p, _ := persona.Find("healthy-openssl")
	checkVisit(t, "the healthy conversation", p.Visit(t.Context(), target), in)
}

// checkVisit holds a visit against what was expected: in, or not and why. Who gets in
// where that was not expected is as wrong as the other.
func checkVisit(t *testing.T, id string, v *persona.Visit, want string) {
	t.Helper()
	switch {
	case v.Executed:
		t.Errorf("%s: a command in clear behind STARTTLS was executed", id)
	case want == in && (!v.In || v.Err != nil):
		t.Errorf("%s did not get in: %v", id, v.Err)
	case want != in && v.In:
		t.Errorf("%s got in, and %q was expected", id, want)
	case want != in && (v.Err == nil || !strings.Contains(v.Err.Error(), want)):
		t.Errorf("%s ended with %v, want %q", id, v.Err, want)
	}
}
