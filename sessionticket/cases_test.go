package sessionticket

import (
	"crypto/tls"
	"io"
	"slices"
	"testing"

	"postern/internal/testcert"
	"postern/internal/tlsrecord"
)

// handshakeCase is one kind of handshake. Its changes are made to a server and a
// client that fit each other.
type handshakeCase struct {
	name    string
	rsa     bool
	change  func(server, client *tls.Config, pair *testcert.Pair)
	version uint16 // zero is TLS 1.3
	late    bool   // crypto/tls makes the ticket after the client's certificate
}

var handshakeCases = []handshakeCase{
	{name: "ECDSA"},
	{name: "RSA", rsa: true},
	{name: "HelloRetryRequest", change: func(server, _ *tls.Config, _ *testcert.Pair) {
		server.CurvePreferences = []tls.CurveID{tls.CurveP384}
	}},
	{name: "X25519 alone", change: func(server, _ *tls.Config, _ *testcert.Pair) {
		server.CurvePreferences = []tls.CurveID{tls.X25519}
	}},
	{name: "ALPN", change: func(server, client *tls.Config, _ *testcert.Pair) {
		server.NextProtos, client.NextProtos = []string{"h2"}, []string{"h2"}
	}},
	{name: "chain over 16 KiB", change: func(server, _ *tls.Config, pair *testcert.Pair) {
		server.Certificates = []tls.Certificate{longChain(pair)}
	}},
	{name: "ticket over 16 KiB", change: func(server, _ *tls.Config, _ *testcert.Pair) {
		padTickets(server, 20<<10)
	}},
	{name: "ticket over 32 KiB", change: func(server, _ *tls.Config, _ *testcert.Pair) {
		padTickets(server, 40<<10)
	}},
	{name: "client certificate", late: true, change: askForCertificate(func(pair *testcert.Pair) []tls.Certificate {
		return []tls.Certificate{pair.TLS}
	})},
	{name: "client certificate asked for and not given", late: true, change: askForCertificate(nil)},
	{name: "client chain over 16 KiB", late: true, change: askForCertificate(func(pair *testcert.Pair) []tls.Certificate {
		return []tls.Certificate{longChain(pair)}
	})},
	{name: "TLS 1.2", version: tls.VersionTLS12, change: func(server, _ *tls.Config, _ *testcert.Pair) {
		server.MaxVersion = tls.VersionTLS12
	}},
}

// configs returns what the two sides of the case are set to.
func (c handshakeCase) configs(t testing.TB) (server, client *tls.Config) {
	pair := testcert.New(t, testcert.Options{RSA: c.rsa})
	server, client = configs(pair)
	if c.change != nil {
		c.change(server, client, pair)
	}
	return server, client
}

func (c handshakeCase) isTLS13() bool { return c.version == 0 }

// longChain repeats the pair's certificate until the chain exceeds a record.
func longChain(pair *testcert.Pair) tls.Certificate {
	long := pair.TLS
	long.Certificate = slices.Repeat(pair.TLS.Certificate, 1+tlsrecord.MaxPlaintext/len(pair.TLS.Certificate[0]))
	return long
}

func askForCertificate(give func(*testcert.Pair) []tls.Certificate) func(server, client *tls.Config, pair *testcert.Pair) {
	return func(server, client *tls.Config, pair *testcert.Pair) {
		server.ClientAuth = tls.RequestClientCert
		if give != nil {
			client.Certificates = give(pair)
		}
	}
}

// padTickets makes config's tickets longer by n zero bytes.
func padTickets(config *tls.Config, n int) {
	config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		label, err := config.EncryptTicket(cs, ss)
		return append(label, make([]byte, n)...), err
	}
	config.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		return config.DecryptTicket(identity[:max(0, len(identity)-n)], cs)
	}
}

func readAll(r io.Reader) (string, error) {
	b, err := io.ReadAll(r)
	return string(b), err
}
