package probe_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/internal/persona"
	"postern/internal/probe"
	"postern/internal/testcert"
)

// Of all visits one brings the message, and none where none was given.
func TestOneMessageIsDelivered(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{})
	var taken atomic.Int32
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return box{taken: &taken}, nil }))
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })

	p := &probe.Prober{RootCAs: pair.Pool}
	examine(t, p, listener.Addr().String())
	if n := taken.Load(); n != 0 {
		t.Errorf("%d messages came unasked", n)
	}
	p.Deliver = &persona.Letter{From: "a@sender.test", To: "user@mx.test"}
	_, r := examine(t, p, listener.Addr().String())
	if f := finding(t, r.Findings(), "delivered"); f.Severity != probe.Fine || taken.Load() != 1 {
		t.Errorf("%d messages came: %+v", taken.Load(), f)
	}
	p.Deliver = &persona.Letter{To: "nobody@mx.test"}
	_, r = examine(t, p, listener.Addr().String())
	if f := finding(t, r.Findings(), "not-delivered"); f.Severity != probe.Warning || !strings.Contains(f.Evidence[0], `"550 `) || taken.Load() != 1 {
		t.Errorf("%d messages came: %+v", taken.Load(), f)
	}
}

// box counts the messages that it takes, for all but nobody.
type box struct {
	session
	taken *atomic.Int32
}

func (box) Mail(string, *smtp.MailOptions) error { return nil }

func (box) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "nobody@") {
		return &smtp.SMTPError{Code: 550, Message: "nobody here"}
	}
	return nil
}

func (b box) Data(r io.Reader) error {
	b.taken.Add(1)
	_, err := io.Copy(io.Discard, r)
	return err
}
