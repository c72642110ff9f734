package strictclient_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"postern/internal/testcert"
	"postern/sessionticket/strictclient"
)

// Each server sends its ticket at another moment; the client refuses one of them.
func TestRefusesTicketBeforeItsFinishedOnly(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	for _, test := range []struct {
		name   string
		server *tls.Config
		want   error
	}{
		{"TLS 1.3, ticket in the server's flight", &tls.Config{}, strictclient.ErrEarlyTicket},
		{"TLS 1.3 after HelloRetryRequest, the same", &tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP521}}, strictclient.ErrEarlyTicket},
		{"TLS 1.3, no ticket", &tls.Config{SessionTicketsDisabled: true}, nil},
		// crypto/tls sends the ticket after the client's certificate when it asks for one.
		{"TLS 1.3, ticket later", &tls.Config{ClientAuth: tls.RequestClientCert}, nil},
		{"TLS 1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.server.Certificates = []tls.Certificate{pair.TLS}
			if err := shakeHands(t, test.server, clientConfig(pair)); !errors.Is(err, test.want) {
				t.Errorf("handshake gave %v, want %v", err, test.want)
			}
		})
	}
}

// A client that offers no psk_key_exchange_modes gets no ticket, so it has nothing to refuse.
func TestConnectsWithoutSessionCache(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	client := clientConfig(pair)
	client.ClientSessionCache = nil
	if err := shakeHands(t, &tls.Config{Certificates: []tls.Certificate{pair.TLS}}, client); err != nil {
		t.Errorf("handshake gave %v", err)
	}
}

func TestStartTLSReturnsErrEarlyTicket(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	for name, test := range map[string]struct {
		server *tls.Config
		want   error
	}{
		"early ticket": {&tls.Config{}, strictclient.ErrEarlyTicket},
		"no ticket":    {&tls.Config{SessionTicketsDisabled: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.server.Certificates = []tls.Certificate{pair.TLS}
			clientSide, serverSide := tcpPair(t)
			go serveSMTP(serverSide, test.server)
			client, err := strictclient.StartTLS(clientSide, "sender.example", clientConfig(pair))
			if !errors.Is(err, test.want) {
				t.Fatalf("StartTLS gave %v, want %v", err, test.want)
			}
			if err == nil {
				if err := client.Quit(); err != nil {
					t.Errorf("QUIT gave %v", err)
				}
			}
		})
	}
}

func clientConfig(pair *testcert.Pair) *tls.Config {
	return &tls.Config{RootCAs: pair.Pool, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(0)}
}

// shakeHands returns the error of the client's handshake, or of the bytes after it.
func shakeHands(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	clientSide, serverSide := tcpPair(t)
	go func() {
		conn := tls.Server(serverSide, server)
		io.WriteString(conn, "hello\n")
		conn.Close()
	}()
	conn := strictclient.New(clientSide)
	secure := tls.Client(conn, client)
	got, err := io.ReadAll(secure)
	if err == nil && string(got) != "hello\n" {
		t.Errorf("client read %q", got)
	}
	if conn.Refused() != (err != nil) {
		t.Errorf("Refused is %v after error %v", conn.Refused(), err)
	}
	return err
}

// serveSMTP speaks just enough SMTP for one STARTTLS and a QUIT.
func serveSMTP(conn net.Conn, config *tls.Config) {
	defer conn.Close()
	io.WriteString(conn, "220 ready\r\n")
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case err != nil:
			return
		case verb == "STARTTLS":
			io.WriteString(conn, "220 go ahead\r\n")
			conn = tls.Server(conn, config)
			lines = bufio.NewReader(conn)
		case strings.HasPrefix(verb, "EHLO"):
			io.WriteString(conn, "250-me\r\n250 STARTTLS\r\n")
		case verb == "QUIT":
			io.WriteString(conn, "221 bye\r\n")
			return
		}
	}
}

// tcpPair returns both ends of a loopback connection.
func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}
