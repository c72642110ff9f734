// Counts what a crypto/tls server sends before it has read the client's Finished, as clients of
// https://go.dev/issue/70232 do. It needs the standard library only:
//
//	go test ticket_test.go
package ticket

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// The server reads nothing after the ClientHello before it has sent the ticket, so the order is
// seen at the server, whatever the network does.
func TestNoTicketBeforeTheClientsFinished(t *testing.T) {
	for _, test := range []struct {
		name   string
		server *tls.Config
	}{
		{"full", &tls.Config{}},
		{"client certificate", &tls.Config{ClientAuth: tls.RequestClientCert}},
	} {
		t.Run(test.name, func(t *testing.T) {
			with, without := test.server, test.server.Clone()
			without.SessionTicketsDisabled = true
			want, _ := flights(t, without, newClient())
			got, _ := flights(t, with, newClient())
			if got.first != want.first {
				t.Errorf("the server's first flight has %d encrypted records, %d with tickets disabled", got.first, want.first)
			}
			if got.later != want.later+1 {
				t.Errorf("the server sent %d writes before its data, %d with tickets disabled", got.later, want.later)
			}
		})
	}
}

// Tickets serve their purpose.
func TestSecondConnectionResumes(t *testing.T) {
	server, client := &tls.Config{}, newClient()
	for _, want := range []bool{false, true} {
		if _, state := flights(t, server, client); state.DidResume != want {
			t.Errorf("DidResume is %v, want %v", state.DidResume, want)
		}
	}
}

func newClient() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(0)}
}

// flight counts what a server wrote in a connection.
type flight struct {
	first int // encrypted records before it read the client's second flight
	later int // writes after that, its data excluded
}

// flights makes a connection on which the server sends 5 bytes.
func flights(t *testing.T, server, client *tls.Config) (flight, tls.ConnectionState) {
	t.Helper()
	if server.Certificates == nil {
		server.Certificates = []tls.Certificate{certificate(t)}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	counted := make(chan flight, 1)
	go func() {
		accepted, err := listener.Accept()
		if err != nil {
			t.Error(err)
			close(counted)
			return
		}
		conn := &counter{Conn: accepted}
		secure := tls.Server(conn, server)
		if err := secure.Handshake(); err != nil {
			t.Error(err)
		}
		counted <- conn.flight
		io.WriteString(secure, "hello")
		secure.Close()
	}()
	secure, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close()
	if got, err := io.ReadAll(secure); err != nil || string(got) != "hello" {
		t.Fatalf("client read %q, %v", got, err)
	}
	return <-counted, secure.ConnectionState()
}

// counter is a server's conn.
type counter struct {
	net.Conn
	wrote  bool // the first flight
	read   bool // something after it
	writes int
	bytes  int
	flight
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read = c.wrote
	return n, err
}

func (c *counter) Write(b []byte) (int, error) {
	c.wrote = true
	c.writes++
	c.bytes += len(b)
	if c.read {
		c.later++
		return c.Conn.Write(b)
	}
	for rest := b; len(rest) >= 5; { // RFC 8446, Section 5.1: type, version, length
		if rest[0] == 23 {
			c.first++
		}
		rest = rest[5+int(rest[3])<<8+int(rest[4]):]
	}
	return c.Conn.Write(b)
}

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
