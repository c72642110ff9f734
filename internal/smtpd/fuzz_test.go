package smtpd

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"postern/internal/front"
	"postern/internal/smtp"
)

// scriptConn is a connection whose sender has sent everything already.
type scriptConn struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (c *scriptConn) Read(p []byte) (int, error)       { return c.in.Read(p) }
func (c *scriptConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *scriptConn) Close() error                     { return nil }
func (c *scriptConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *scriptConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *scriptConn) SetDeadline(time.Time) error      { return nil }
func (c *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptConn) SetWriteDeadline(time.Time) error { return nil }

// Whatever a sender sends, there are as many messages as positive replies to them, each with
// valid text and for the server's own domain.
func FuzzSession(f *testing.F) {
	envelope := "EHLO a\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n"
	for _, rest := range []string{
		"DATA\r\nx\r\n.\r\nQUIT\r\n",
		"DATA\r\nx\n.\nMAIL FROM:<>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n.\r\n",
		"DATA\r\n..\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n.\r\n",
		"BDAT 3\r\nx\r\nBDAT 2 LAST\r\n\r\nQUIT\r\n",
		"BDAT 3\r\nx\r\nRSET\r\nMAIL FROM:<>\r\n",
		"BDAT 300\r\nx\r\n",
		"RSET\r\nDATA\r\nHELO b\r\nSTARTTLS\r\n",
		"RCPT TO:<x@elsewhere.example>\r\nDATA\r\n.\r\n",
		"DATA\r\n.\r\nXCLIENT ADDR=192.0.2.8\r\n",
	} {
		f.Add([]byte(envelope+rest), false)
		f.Add([]byte("XCLIENT ADDR=192.0.2.7 HELO=a+20b\r\nXCLIENT PORT=1\r\n"+envelope+rest), true)
	}
	f.Fuzz(func(t *testing.T, said []byte, fronted bool) {
		hop := &memoryHop{can: smtp.Extensions{EightBitMIME: true, SMTPUTF8: true, DSN: true}}
		settings := Settings{Hostname: "mx", Domains: []string{"example.org"}, Limits: Limits{MessageSize: 500}}
		server := New(settings, hop, new(testObserver), slog.New(slog.DiscardHandler))
		conn := &scriptConn{in: bytes.NewReader(said)}
		if fronted {
			session := newSession(server, &front.Conn{Conn: conn, Protocol: front.XClient, Trusted: true})
			session.meet(false)
			session.serve(false)
			if len(hop.messages) > 0 && !session.xclient.Named {
				t.Error("a message was accepted before the client was known")
			}
		} else {
			newSession(server, conn).serve(false)
		}

		if acknowledged := strings.Count(conn.out.String(), "250 2.0.0 stored\r\n"); acknowledged != len(hop.messages) {
			t.Errorf("%d acknowledged, %d accepted by the hop", acknowledged, len(hop.messages))
		}
		for _, m := range hop.messages {
			checkMessage(t, m)
		}
	})
}

func checkMessage(t *testing.T, m message) {
	if strings.ContainsAny(strings.ReplaceAll(m.text, "\r\n", ""), "\r\n") {
		t.Errorf("bare CR or LF in %q", m.text)
	}
	for _, to := range m.to {
		if !strings.HasSuffix(strings.ToLower(to), "@example.org") || strings.ContainsAny(strings.ToLower(to[:len(to)-12]), "@%!") {
			t.Errorf("accepted for %q", to)
		}
	}
}
