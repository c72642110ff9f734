package capture_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/smtp"
	"os"
	"path/filepath"
	"testing"

	"postern/handshake"
	"postern/handshake/keylog"
	"postern/internal/capture"
	"postern/internal/nexthop/maildir"
	"postern/internal/smtpd"
	"postern/internal/testcert"
	"postern/internal/testpeer"
	"postern/sessionticket"
	"postern/sessionticket/strictclient"
)

// alike answers every sender in the same mode.
type alike sessionticket.Mode

func (a alike) ChooseMode(netip.Addr, string, bool) sessionticket.Mode           { return sessionticket.Mode(a) }
func (alike) WantsCompleted(netip.Addr, string, string, sessionticket.Mode) bool { return false }
func (alike) SessionEnded(smtpd.SessionResult)                                   {}
func (alike) CommandRefused(smtpd.RefusedCommand)                                {}
func (alike) MessageAccepted(smtpd.AcceptedMessage)                              {}

// startPostern starts Postern's own server and returns its address.
func startPostern(t *testing.T, mode sessionticket.Mode, pair *testcert.Pair) string {
	t.Helper()
	hop, err := maildir.New(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	settings := smtpd.Settings{Hostname: "mx.example.org", Domains: []string{"localhost"}, TLS: &tls.Config{Certificates: []tls.Certificate{pair.TLS}}}
	server := smtpd.New(settings, hop, alike(mode), slog.New(slog.DiscardHandler))
	go server.Serve(ln)
	t.Cleanup(func() { server.Shutdown(context.Background()) })
	return ln.Addr().String()
}

// connectStrictly connects as a client that refuses early tickets, and sends MAIL and QUIT
// if the handshake completes.
func connectStrictly(t *testing.T, addr string, config *tls.Config) (refused bool) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	client, err := strictclient.StartTLS(conn, "sender.example", config)
	if errors.Is(err, strictclient.ErrEarlyTicket) {
		return true
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := deliver(client); err != nil {
		t.Fatal(err)
	}
	return false
}

func deliver(client *smtp.Client) error {
	if err := client.Mail("a@sender.example"); err != nil {
		return err
	}
	return client.Quit()
}

func clientConfig(pair *testcert.Pair) *tls.Config {
	return &tls.Config{RootCAs: pair.Pool, ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
}

// read reads a complete capture.
func read(t *testing.T, file []byte, keys handshake.Keys) []*capture.Conversation {
	t.Helper()
	found, err := readAll(bytes.NewReader(file), keys)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// readAll returns the conversations before the error, which is nil at the file's end.
func readAll(file io.Reader, keys handshake.Keys) (found []*capture.Conversation, err error) {
	r, err := capture.NewReader(file, keys)
	if err != nil {
		return nil, err
	}
	for {
		c, err := r.Next()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return found, err
		}
		found = append(found, c)
	}
}

// A client with the bug of https://go.dev/issue/70232, as the operator of a server sees it.
func TestCaptureOfAStrictClient(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	for _, tt := range []struct {
		mode    sessionticket.Mode
		refused bool
		want    []string
	}{
		{sessionticket.Stock, true, []string{
			"client: ClientHello",
			"server: ServerHello EncryptedExtensions? Certificate? CertificateVerify? Finished? NewSessionTicket?!",
			"closed by the client after NewSessionTicket, unused",
		}},
		{sessionticket.FirstWrite, false, []string{
			"client: ClientHello",
			"server: ServerHello EncryptedExtensions? Certificate? CertificateVerify? Finished?",
			"client: Finished? ApplicationData?",
			"server: Unknown ApplicationData?", // the ticket, which only its server or its keys can tell from data
		}},
	} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			addr := startPostern(t, tt.mode, pair)
			recording := testpeer.StartTCPDump(t, addr)
			if refused := connectStrictly(t, addr, clientConfig(pair)); refused != tt.refused {
				t.Errorf("refused: %v", refused)
			}
			found := read(t, recording.Stop(t), nil)
			if len(found) != 1 {
				t.Fatalf("%d conversations", len(found))
			}
			checkBegins(t, found[0], tt.want...)
			c := found[0]
			if c.EHLO != "sender.example" || c.Protocol != capture.SMTP || !c.StartTLS || c.MidStream || c.MissingBytes > 0 || c.Server.String() != addr {
				t.Errorf("read %+v", c)
			}
		})
	}
}

// With OpenSSL's key log every message has a type.
func TestCaptureOfOpenSSLWithKeys(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	addr := startPostern(t, sessionticket.FirstWrite, pair)
	keyFile := filepath.Join(t.TempDir(), "keys")
	recording := testpeer.StartTCPDump(t, addr)
	if d := testpeer.SendOpenSSL(t, addr, testpeer.OpenSSLOptions{Args: []string{"-keylogfile", keyFile}}); !d.Delivered {
		t.Fatalf("not delivered: %s\n%s", d.Reply, d.Output)
	}
	file := recording.Stop(t)
	checkBegins(t, read(t, file, parseKeys(t, keyFile))[0],
		"client: ClientHello",
		"server: ServerHello EncryptedExtensions Certificate CertificateVerify Finished",
		"client: Finished ApplicationData",
		"server: NewSessionTicket ApplicationData Alert")
}

// With the key log of TLS 1.2 the MAIL command is seen.
func TestCaptureOfTLS12WithKeys(t *testing.T) {
	addr := startPostern(t, sessionticket.FirstWrite, testcert.New(t, testcert.Options{}))
	keyFile := filepath.Join(t.TempDir(), "keys")
	recording := testpeer.StartTCPDump(t, addr)
	if d := testpeer.SendOpenSSL(t, addr, testpeer.OpenSSLOptions{Handshake: testpeer.TLS12Handshake, KeyLog: keyFile}); !d.Delivered {
		t.Fatalf("not delivered: %s\n%s", d.Reply, d.Output)
	}
	file := recording.Stop(t)
	if got := read(t, file, nil)[0].Transcript.Use; got != handshake.UseData {
		t.Errorf("without keys: use %v", got)
	}
	if got := read(t, file, parseKeys(t, keyFile))[0].Transcript.Use; got != handshake.UseMail {
		t.Errorf("with keys: use %v", got)
	}
}

// Implicit TLS to another server, with a snap length that truncates large messages: they
// are missing, and the handshake is still followed to its end.
func TestCaptureOfImplicitTLSWithAShortSnapLength(t *testing.T) {
	pair := testcert.New(t, testcert.Options{})
	addr := testpeer.StartOpenSSL(t, pair.CertFile, pair.KeyFile)
	recording := testpeer.StartTCPDump(t, addr, "-s", "200")
	conn, err := tls.Dial("tcp", addr, clientConfig(pair))
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "abc\n")
	io.ReadFull(conn, make([]byte, 4))
	conn.Close()
	c := read(t, recording.Stop(t), nil)[0]
	checkBegins(t, c, "client: ClientHello", "server: ServerHello Unknown", "client: Finished?")
	if c.MissingBytes == 0 || c.Protocol != capture.None || c.Transcript.ClientHello != nil || !c.Transcript.Completed {
		t.Errorf("read %+v, %+v", c, c.Transcript)
	}
}

func parseKeys(t *testing.T, path string) *keylog.Log {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	keys, err := keylog.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}
