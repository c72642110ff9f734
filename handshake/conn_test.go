package handshake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"postern/sessionticket"
	"postern/sessionticket/strictclient"
)

// handshakes are complete handshakes and the outlines of the server's transcripts.
var handshakes = []struct {
	name    string
	mode    sessionticket.Mode
	change  func(server, client *tls.Config)
	resumed bool
	want    string
}{
	{
		name: "full, ticket as crypto/tls sends it", mode: sessionticket.Stock,
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin? Ticket?!
		> CCS Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "full, ticket with the first reply", mode: sessionticket.FirstWrite,
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin? Data?
		< Ticket? Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "full, no ticket", mode: sessionticket.NoTicket,
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin? Data?
		< Unknown
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "client that has no use for tickets", mode: sessionticket.Stock,
		change: func(_, client *tls.Config) { client.ClientSessionCache = nil },
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "resumed, ticket as crypto/tls sends it", mode: sessionticket.Stock, resumed: true,
		want: `
		> CH
		< SH CCS EE? Fin? Ticket?!
		> CCS Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "resumed, ticket with the first reply", mode: sessionticket.FirstWrite, resumed: true,
		want: `
		> CH
		< SH CCS EE? Fin?
		> CCS Fin? Data?
		< Ticket? Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "HelloRetryRequest", mode: sessionticket.Stock,
		change: func(server, _ *tls.Config) { server.CurvePreferences = []tls.CurveID{tls.CurveP521} },
		want: `
		> CH
		< HRR
		< CCS
		> CCS CH
		< SH EE? Cert? CV? Fin? Ticket?!
		> Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "client certificate asked for and not given", mode: sessionticket.Stock,
		change: func(server, _ *tls.Config) { server.ClientAuth = tls.RequestClientCert },
		want: `
		> CH
		< SH CCS EE? CR? Cert? CV? Fin?
		> CCS Cert? Fin?
		< Ticket?
		> Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "client certificate", mode: sessionticket.FirstWrite,
		change: func(server, client *tls.Config) {
			server.ClientAuth = tls.RequestClientCert
			client.Certificates = server.Certificates
		},
		want: `
		> CH
		< SH CCS EE? CR? Cert? CV? Fin?
		> CCS Cert? CV? Fin? Data?
		< Ticket? Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name: "chain of more than one record", mode: sessionticket.Stock,
		change: func(server, _ *tls.Config) {
			pair := server.Certificates[0]
			for range 60 {
				pair.Certificate = append(pair.Certificate, pair.Certificate[0])
			}
			server.Certificates = []tls.Certificate{pair}
		},
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin? Ticket?!
		> CCS Fin? Data?
		< Data?
		< Alert?
		closed by server, completed true, spoke`,
	}, {
		name:   "TLS 1.2",
		change: func(server, _ *tls.Config) { server.MaxVersion = tls.VersionTLS12 },
		want: `
		> CH
		< SH Cert SKE SHD
		> CKE CCS Fin?
		< Ticket CCS Fin?
		> Data
		< Data
		< Alert
		closed by server, completed true, spoke`,
	}, {
		name: "TLS 1.2 resumed", resumed: true,
		change: func(server, _ *tls.Config) { server.MaxVersion = tls.VersionTLS12 },
		want: `
		> CH
		< SH Ticket CCS Fin?
		> CCS Fin? Data
		< Data
		< Alert
		closed by server, completed true, spoke`,
	}, {
		name: "TLS 1.0 with CBC",
		change: func(server, client *tls.Config) {
			server.MinVersion, server.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
			client.MinVersion = tls.VersionTLS10
		},
		want: `
		> CH
		< SH Cert SKE SHD
		> CKE CCS Fin?
		< Ticket CCS Fin?
		> Data
		< Data
		< Alert
		closed by server, completed true, spoke`,
	},
}

func TestServerRecordsCompleteHandshakes(t *testing.T) {
	for _, test := range handshakes {
		t.Run(test.name, func(t *testing.T) {
			serverConfig, clientConfig := configs(t)
			if test.change != nil {
				test.change(serverConfig, clientConfig)
			}
			server := newServer(serverConfig, test.mode)
			if test.resumed {
				server.talk(t, clientConfig)
			}
			transcript := server.talk(t, clientConfig)
			checkOutline(t, transcript, test.want)
			if transcript.ServerHello.Resumed != test.resumed {
				t.Errorf("resumed: %v, want %v", transcript.ServerHello.Resumed, test.resumed)
			}
			for _, m := range transcript.Messages {
				if m.Type == TypeFinished && transcript.ServerHello.Version < tls.VersionTLS13 && m.Size != finishedLenTLS12 {
					t.Errorf("a Finished of %d bytes", m.Size)
				}
			}
		})
	}
}

// A failure is a handshake that fails and the outline of the server's transcript.
type failure struct {
	name   string
	mode   sessionticket.Mode
	change func(server, client *tls.Config)
	client func(near *net.TCPConn, config *tls.Config) // closes near at the end, or waits until the server closes
	want   string
}

var failures = []failure{
	{
		name: "client that closes on an early ticket", mode: sessionticket.Stock,
		client: func(near *net.TCPConn, config *tls.Config) {
			tls.Client(strictclient.New(near), config).Handshake()
		},
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin? Ticket?!
		closed by client, completed false, unused`,
	}, {
		name:   "client that refuses the certificate",
		change: func(_, client *tls.Config) { client.RootCAs = nil },
		client: handshakeAndClose,
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		> CCS Alert?(42)
		alerted by client, completed false, unused`,
	}, {
		name: "client that refuses the certificate in TLS 1.2",
		change: func(server, client *tls.Config) {
			client.RootCAs, server.MaxVersion = nil, tls.VersionTLS12
		},
		client: handshakeAndClose,
		want: `
		> CH
		< SH Cert SKE SHD
		> Alert(42)
		alerted by client, completed false, unused`,
	}, {
		name:   "versions that are not served",
		change: func(_, client *tls.Config) { client.MinVersion, client.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		client: handshakeAndClose,
		want: `
		> CH
		< Alert(70)
		alerted by server, completed false, unused`,
	}, {
		name: "client certificate demanded and not given",
		change: func(server, _ *tls.Config) {
			server.ClientAuth = tls.RequireAnyClientCert
		},
		client: func(near *net.TCPConn, config *tls.Config) { io.ReadAll(tls.Client(near, config)) },
		want: `
		> CH
		< SH CCS EE? CR? Cert? CV? Fin?
		> CCS Cert? Fin?
		< Alert?
		alerted by server, completed false, unused`,
	}, {
		name:   "plaintext",
		client: send("EHLO mx.example.org\r\n"),
		want: `
		> NotTLS
		dropped by server, completed false, unused`,
	}, {
		name:   "SSLv2 hello",
		client: send("\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"),
		want: `
		> NotTLS
		< Alert(70)
		alerted by server, completed false, unused`,
	}, {
		name:   "client that only connects",
		client: send(""),
		want:   `closed by client, completed false, unused`,
	}, {
		name:   "half a ClientHello and a close",
		client: send("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		want: `
		> CH-506
		closed by client, completed false, unused`,
	}, {
		name: "reset after the server's flight",
		client: func(near *net.TCPConn, config *tls.Config) {
			config.VerifyConnection = func(tls.ConnectionState) error {
				near.SetLinger(0)
				near.Close()
				return errors.New("reset")
			}
			tls.Client(near, config).Handshake()
		},
		want: `
		> CH
		< SH CCS EE? Cert? CV? Fin?
		reset by client, completed false, unused`,
	},
}

func handshakeAndClose(near *net.TCPConn, config *tls.Config) {
	tls.Client(near, config).Handshake()
	near.Close()
}

// send sends bytes, closes for writing, and reads to the end.
func send(text string) func(*net.TCPConn, *tls.Config) {
	return func(near *net.TCPConn, _ *tls.Config) {
		io.WriteString(near, text)
		near.CloseWrite()
		io.ReadAll(near)
	}
}

func TestServerRecordsFailedHandshakes(t *testing.T) {
	for _, test := range failures {
		t.Run(test.name, func(t *testing.T) {
			serverConfig, clientConfig := configs(t)
			if test.change != nil {
				test.change(serverConfig, clientConfig)
			}
			near, far := tcp(t)
			done := make(chan struct{})
			go func() { test.client(near, clientConfig); close(done) }()
			_, recorded := newServer(serverConfig, test.mode).accept(far)
			recorded.Close()
			<-done
			transcript := recorded.Stop(UseNone)
			checkOutline(t, transcript, test.want)
			if transcript.End.Err == "" {
				t.Error("the error of crypto/tls is missing")
			}
		})
	}
}

// The server limits the handshake to a minute, by a deadline or by a context. When a
// context ends, crypto/tls closes the conn; that is a timeout and not the server's
// decision.
func TestServerRecordsTimeouts(t *testing.T) {
	serverConfig, _ := configs(t)
	for name, wait := range map[string]func(*tls.Conn) error{
		"deadline": func(c *tls.Conn) error {
			c.SetDeadline(time.Now().Add(time.Minute))
			return c.Handshake()
		},
		"context": func(c *tls.Conn) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			return c.HandshakeContext(ctx)
		},
	} {
		for sent, want := range map[string]string{
			"": "timed out by client, completed false, unused",
			"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": `
				> CH-506
				timed out by client, completed false, unused`,
		} {
			t.Run(fmt.Sprintf("%s/%d bytes", name, len(sent)), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					near, far := net.Pipe()
					defer near.Close()
					go io.WriteString(near, sent)
					recorded := NewConn(far, AtServer)
					recorded.Begin()
					recorded.Fail(wait(tls.Server(recorded, serverConfig)))
					recorded.Close()
					checkOutline(t, recorded.Stop(UseNone), want)
				})
			})
		}
	}
}

// A deadline in the past also interrupts a blocked Read; the session goes on.
func TestTimeoutIsNoEndWhenMoreComes(t *testing.T) {
	near, far := tcp(t)
	recorded := NewConn(far, AtServer)
	recorded.Begin()
	far.SetReadDeadline(time.Unix(1, 0))
	recorded.Read(make([]byte, 1))
	far.SetReadDeadline(time.Time{})
	io.WriteString(near, "\x16")
	recorded.Read(make([]byte, 1))
	checkOutline(t, recorded.Stop(UseNone), `
		> Unknown-4
		open, completed false, unused`)
}

// A close_notify is an encrypted alert like any other. Crypto/tls returns io.EOF for it.
func TestCloseNotifyIsRecorded(t *testing.T) {
	serverConfig, clientConfig := configs(t)
	near, far := tcp(t)
	ready := make(chan struct{})
	go func() {
		client := tls.Client(near, clientConfig)
		client.Handshake()
		<-ready
		client.Close()
		near.Close()
	}()
	secure, recorded := newServer(serverConfig, sessionticket.Stock).accept(far)
	close(ready)
	_, err := secure.Read(make([]byte, 1))
	recorded.Fail(err)
	checkOutline(t, recorded.Stop(UseNone), `
		> CH
		< SH CCS EE? Cert? CV? Fin? Ticket?!
		> CCS Fin? Alert?(0)
		closed by client, completed true, unused`)
}

// A ClientHello of tens of kilobytes, which crypto/tls takes, is read before the handshake
// goes on.
func TestServerReadsLongClientHello(t *testing.T) {
	serverConfig, clientConfig := configs(t)
	for i := range 240 {
		clientConfig.NextProtos = append(clientConfig.NextProtos, fmt.Sprintf("%0250d", i))
	}
	s := newServer(serverConfig, sessionticket.FirstWrite)
	hello := s.talk(t, clientConfig).ClientHello
	if hello == nil || hello.Size < 60_000 || hello.JA4 == "" {
		t.Errorf("read %+v", hello)
	}
}
