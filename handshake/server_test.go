package handshake

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/sessionticket"
)

// shortNames are the message types in outlines.
var shortNames = map[MessageType]string{
	TypeUnknown: "Unknown", TypeClientHello: "CH", TypeHelloRetryRequest: "HRR", TypeServerHello: "SH",
	TypeEncryptedExtensions: "EE", TypeCertificateRequest: "CR", TypeCertificate: "Cert",
	TypeCertificateStatus: "Status", TypeCertificateVerify: "CV", TypeServerKeyExchange: "SKE",
	TypeServerHelloDone: "SHD", TypeClientKeyExchange: "CKE", TypeFinished: "Fin",
	TypeNewSessionTicket: "Ticket", TypeEndOfEarlyData: "EOED", TypeKeyUpdate: "KU", TypeHelloRequest: "HR",
	TypeChangeCipherSpec: "CCS", TypeAlert: "Alert", TypeApplicationData: "Data", TypeNotTLS: "NotTLS",
}

// outline returns a transcript in short: the messages, on a line for each write of the
// recorder's side and for what the other side sent in between; the end, and the result.
// "?" marks an inferred type, "!" an early ticket, "-3" three missing bytes.
func outline(t *Transcript) string {
	var b strings.Builder
	var last Message
	for i, m := range t.Messages {
		if m.From != last.From || m.From == t.View.own() && m.Write != last.Write {
			b.WriteString(map[Side]string{Client: "\n> ", Server: "\n< "}[m.From])
		} else {
			b.WriteByte(' ')
		}
		last = m
		b.WriteString(shortNames[m.Type])
		if m.Inferred {
			b.WriteByte('?')
		}
		if t.IsEarlyTicket(i) {
			b.WriteByte('!')
		}
		if m.Alert != nil {
			fmt.Fprintf(&b, "(%d)", m.Alert.Description)
		}
		if m.Missing > 0 {
			fmt.Fprintf(&b, "-%d", m.Missing)
		}
	}
	fmt.Fprintf(&b, "\n%s", endNames[t.End.Kind])
	if t.End.By != UnknownSide {
		fmt.Fprintf(&b, " by %s", map[Side]string{Client: "client", Server: "server"}[t.End.By])
	}
	if t.End.After != len(t.Messages) {
		fmt.Fprintf(&b, " after %d", t.End.After)
	}
	fmt.Fprintf(&b, ", completed %v, %s", t.Completed, map[Use]string{UseNone: "unused", UseData: "spoke", UseMail: "mailed"}[t.Use])
	return strings.TrimSpace(b.String())
}

var endNames = map[EndKind]string{
	EndOpen: "open", EndClosed: "closed", EndAlert: "alerted", EndReset: "reset", EndTimeout: "timed out", EndDropped: "dropped",
}

// checkOutline compares the outline with lines that may be indented.
func checkOutline(t *testing.T, transcript *Transcript, want string) {
	t.Helper()
	want = strings.ReplaceAll(strings.TrimSpace(want), "\t", "")
	if got := outline(transcript); got != want {
		t.Errorf("got outline\n%s\n\nwant\n%s\n\nerror %q", got, want, transcript.End.Err)
	}
}

// tcp returns both ends of a loopback connection.
func tcp(t testing.TB) (client, server *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	return near.(*net.TCPConn), far.(*net.TCPConn)
}

// configs returns matching configs of a server and a client. The client keeps tickets.
func configs(t testing.TB) (server, client *tls.Config) {
	pair := testcert.New(t, testcert.Options{})
	server = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	client = &tls.Config{
		RootCAs: pair.Pool, ServerName: "localhost",
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	return server, client
}

// A server is a gated TLS server whose conn is recorded.
type server struct {
	config *tls.Config
	gate   *sessionticket.Gate
}

func newServer(config *tls.Config, mode sessionticket.Mode) *server {
	gate := &sessionticket.Gate{Mode: mode}
	return &server{config: gate.Config(config), gate: gate}
}

// accept runs the handshake over c and records it.
func (s *server) accept(c net.Conn) (*tls.Conn, *Conn) {
	recorded := NewConn(c, AtServer)
	recorded.Begin()
	secure := tls.Server(s.gate.Conn(recorded), s.config)
	if err := secure.Handshake(); err != nil {
		recorded.Fail(err)
	} else {
		recorded.Complete()
	}
	return secure, recorded
}

// talk runs a handshake, a command, a reply, and a close by the server. Each side reads
// everything before it sends.
func (s *server) talk(t *testing.T, client *tls.Config) *Transcript {
	t.Helper()
	near, far := tcp(t)
	ready := make(chan struct{})
	got := make(chan string, 1)
	go func() {
		c := tls.Client(near, client)
		defer near.Close()
		if err := c.Handshake(); err == nil {
			<-ready
			io.WriteString(c, "NOOP\r\n")
		}
		reply, _ := io.ReadAll(c)
		got <- string(reply)
	}()
	secure, recorded := s.accept(far)
	close(ready)
	secure.Read(make([]byte, 64))
	io.WriteString(secure, "250 ok\r\n")
	secure.Close()
	transcript := recorded.Stop(UseNone)
	checkServerHello(t, transcript, secure.ConnectionState())
	if client, server := addrPort(near.LocalAddr()), addrPort(far.LocalAddr()); transcript.Client != client || transcript.Server != server {
		t.Errorf("between %v and %v, want %v and %v", transcript.Client, transcript.Server, client, server)
	}
	if reply := <-got; reply != "250 ok\r\n" {
		t.Errorf("the client read %q", reply)
	}
	return transcript
}

// checkServerHello compares the ServerHello with the state of crypto/tls.
func checkServerHello(t *testing.T, transcript *Transcript, state tls.ConnectionState) {
	t.Helper()
	want := ServerHello{
		Version: Version(state.Version), Suite: Suite(state.CipherSuite), Resumed: state.DidResume,
		Retried: transcript.has(Server, TypeHelloRetryRequest),
	}
	if state.Version == tls.VersionTLS13 {
		want.Group = Group(state.CurveID)
	}
	if got := *transcript.ServerHello; got != want {
		t.Errorf("chose %+v, want %+v", got, want)
	}
}
