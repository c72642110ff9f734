package interop_test

import (
	"crypto/tls"
	"errors"
	"runtime"
	"testing"

	"postern/internal/testcert"
	"postern/sessionticket"
)

func thisGo(*testing.T) string { return "an imitation on crypto/tls " + runtime.Version() }

func rawBytes(*testing.T) string { return "bytes written by hand" }

// imitations are clients that behave as the sources of a case say, on crypto/tls or
// below it. None claims to be the software that they tell of.
var imitations = []scenario{
	{
		name: "early-ticket", comment: "the client closes when a ticket comes before its Finished; the server's policy is stock",
		peer: thisGo, policy: sessionticket.Stock,
		play: playStrictly(anyCertificate()),
	},
	{
		name: "early-ticket.retried", comment: "the same after a HelloRetryRequest",
		peer: thisGo, policy: sessionticket.Stock,
		server: only(tls.CurveP521),
		play:   playStrictly(anyCertificate()),
	},
	{
		name: "ticket-after-finished", comment: "the client closes when a ticket comes, before it says anything",
		peer: thisGo, policy: sessionticket.OwnWrite,
		play: func(t *testing.T, _ *receiver, addr string) {
			conn, secure := handshaken(t, addr, anyCertificate())
			secure.Handshake()
			conn.readAll(1)
			conn.Close()
		},
	},
	{
		name: "ticket-surprises-client", comment: "the client says EHLO and closes when the ticket comes with the reply",
		peer: thisGo, policy: sessionticket.FirstWrite,
		play: playSurprised,
	},
	{
		name: "ticket-surprises-client.stock", comment: "the same where the ticket comes before the client's Finished",
		peer: thisGo, policy: sessionticket.Stock,
		play: playSurprised,
	},
	{
		name: "large-ticket", comment: "the client shows four certificates, so the ticket holds them, and closes when it comes",
		peer: thisGo, policy: sessionticket.Stock,
		server: func(_ *testing.T, r *receiver) { r.config.ClientAuth = tls.RequestClientCert },
		play: func(t *testing.T, _ *receiver, addr string) {
			config := anyCertificate()
			chain := testcert.New(t, testcert.Options{RSA: true}).TLS
			for range 3 {
				chain.Certificate = append(chain.Certificate, chain.Certificate[0])
			}
			config.Certificates = []tls.Certificate{chain}
			conn, secure := handshaken(t, addr, config)
			secure.Handshake()
			conn.readAll(1)
			conn.Close()
		},
	},
	{
		name: "schannel-tls12-ticket", comment: "the client closes when the ticket of TLS 1.2 comes",
		peer: thisGo,
		play: func(t *testing.T, _ *receiver, addr string) {
			config := anyCertificate()
			config.MaxVersion = tls.VersionTLS12
			conn, secure := handshaken(t, addr, config)
			conn.afterWrite(2, nil) // the ClientHello, then ClientKeyExchange to Finished
			secure.Handshake()
		},
	},
	{
		name: "cached-session-alert", comment: "the client offers a session of TLS 1.2 and answers the resumption with unexpected_message",
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
		name: "every-other-connection.wrong-session", comment: "the server's UnwrapSession returns another session than the ticket's",
		peer: thisGo, pick: 2,
		server: mixSessionsUp,
		play: func(t *testing.T, r *receiver, addr string) {
			visit(t, addr, anyCertificate(), aMail...) // whose session the others get
			playTwice(t, r, addr)
		},
	},
	{
		name: "hello-retry-refused", comment: "the client brings no key that the server takes, and closes on HelloRetryRequest",
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
			conn, secure := handshaken(t, addr, anyCertificate())
			conn.cutAt = segment
			secure.Handshake() // ends when the server gives up
		},
	},
	{
		name: "big-hello.closed", comment: "the same, and whoever stands between closes",
		peer: thisGo,
		play: func(t *testing.T, _ *receiver, addr string) {
			conn, secure := handshaken(t, addr, anyCertificate())
			conn.cutAt = segment
			conn.afterWrite(1, nil)
			secure.Handshake()
		},
	},
	{
		name: "sslv2-hello", comment: "a CLIENT-HELLO of SSL 2.0 for TLS 1.0",
		peer: rawBytes,
		play: playBytes("\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" +
			"\x00\x00\x39\x00\x00\x38\x00\x00\x35\x00\x00\x16\x00\x00\x13\x00\x00\x0a\x07\x00\xc0" + "0123456789abcdef"),
	},
	{
		name: "certificate-refused.go", comment: "the client verifies and does not know the issuer",
		peer: func(*testing.T) string { return "crypto/tls " + runtime.Version() },
		play: func(t *testing.T, _ *receiver, addr string) {
			_, secure := handshaken(t, addr, &tls.Config{ServerName: "localhost"})
			secure.Handshake()
		},
	},
	{
		name: "leaves-after-handshake.silent", comment: "the client closes after the handshake without a word; the server gives no tickets",
		peer: thisGo, policy: sessionticket.Never,
		play: func(t *testing.T, _ *receiver, addr string) {
			conn, secure := handshaken(t, addr, anyCertificate())
			secure.Handshake()
			conn.Close()
		},
	},
	{
		name: "inspected-by-firewall", comment: "letters X where TLS was to begin",
		peer: rawBytes, play: playBytes("XXXXXXXX\r\n"),
	},
	{
		name: "plaintext-after-starttls", comment: "the client goes on in clear",
		peer: rawBytes, play: playBytes("MAIL FROM:<sender@sender.test>\r\n"),
	},
	{
		name: "healthy.port-scanner", comment: "STARTTLS, and then nothing",
		peer: rawBytes, play: playBytes(""),
	},
	{
		name: "healthy.http-scanner", comment: "a request of HTTP where TLS was to begin",
		peer: rawBytes, play: playBytes("GET / HTTP/1.1\r\n\r\n"),
	},
	{
		name: "healthy.health-check", comment: "EHLO and QUIT over TLS",
		peer: func(*testing.T) string { return "crypto/tls " + runtime.Version() },
		play: func(t *testing.T, _ *receiver, addr string) {
			visit(t, addr, anyCertificate(), "EHLO check.test", "QUIT")
		},
	},
	{
		name: "healthy.go", comment: "full handshake of TLS 1.3",
		peer: func(*testing.T) string { return "crypto/tls " + runtime.Version() },
		play: playTwice,
	},
	{
		name: "healthy.go-resumed", comment: "resumed",
		peer: func(*testing.T) string { return "crypto/tls " + runtime.Version() }, pick: 1,
		play: playTwice,
	},
	{
		name: "healthy.go-client-certificate", comment: "the server asks for a certificate, and the client has one",
		peer:   func(*testing.T) string { return "crypto/tls " + runtime.Version() },
		server: func(_ *testing.T, r *receiver) { r.config.ClientAuth = tls.RequestClientCert },
		play: func(t *testing.T, r *receiver, addr string) {
			config := anyCertificate()
			config.Certificates = []tls.Certificate{r.pair.TLS}
			visit(t, addr, config, aMail...)
		},
	},
	{
		name: "unknown.leaves-after-server-hello", comment: "closes as soon as the server answers, as some scanners do; no ticket has left",
		peer: thisGo,
		play: func(t *testing.T, _ *receiver, addr string) {
			conn, secure := handshaken(t, addr, anyCertificate())
			conn.afterWrite(1, nil)
			secure.Handshake()
		},
	},
	{
		name: "unknown.no-tls", comment: "bytes that are neither TLS nor a word",
		peer: rawBytes, play: playBytes("\x00\x01\x02\x03\x04\x05\x06\x07"),
	},
}
