package load

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"

	"postern/internal/testcert"
)

// receiver stores messages in a folder, changed on request.
type receiver struct {
	dir    string
	change func([]byte) []byte // what it does to a message; nil loses it
	refuse atomic.Bool
	mu     sync.Mutex
	stored int
}

func (r *receiver) Mail(string, *smtp.MailOptions) error { return nil }

func (r *receiver) Rcpt(string, *smtp.RcptOptions) error {
	if r.refuse.Load() {
		return &smtp.SMTPError{Code: 450, Message: "not now"}
	}
	return nil
}

func (r *receiver) Data(text io.Reader) error {
	all, err := io.ReadAll(text)
	if err != nil {
		return err
	}
	all = []byte("Received: from bench.test\n" + strings.ReplaceAll(string(all), "\r\n", "\n"))
	if all = r.change(all); all == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stored++
	return os.WriteFile(filepath.Join(r.dir, fmt.Sprint(r.stored)), all, 0o600)
}

func (r *receiver) Reset() {}

func (r *receiver) Logout() error { return nil }

// serve starts a server and returns a small load on it.
func serve(t *testing.T, r *receiver, config func(*tls.Config)) Load {
	t.Helper()
	cert := testcert.New(t, testcert.Options{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return r, nil }))
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert.TLS}}
	if config != nil {
		config(server.TLSConfig)
	}
	served := make(chan error)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return Load{Addr: listener.Addr().String(), Certificate: cert.TLS.Leaf, Senders: 2, Messages: 3, Connections: 8}
}

func keep(text []byte) []byte { return text }

func TestLoadCountsMessagesAndConnections(t *testing.T) {
	for _, resume := range []bool{false, true} {
		r := &receiver{dir: t.TempDir(), change: keep}
		l := serve(t, r, nil)
		l.Resume = resume
		tally, err := l.Run()
		if err != nil {
			t.Fatal(err)
		}
		if tally.Connections != 8 || tally.Acknowledged != 24 || r.stored != 24 || tally.Latency() <= 0 {
			t.Errorf("%+v, stored %d", tally, r.stored)
		}
		if (tally.Resumed > 0) != resume {
			t.Errorf("%d connections resumed, though asked for: %v", tally.Resumed, resume)
		}
		if err := tally.CheckMaildir(r.dir); err != nil {
			t.Error(err)
		}
	}
}

func TestBadReceiversAreFound(t *testing.T) {
	for name, tt := range map[string]struct {
		change func([]byte) []byte
		want   string
	}{
		"keeps the top":          {func(text []byte) []byte { return text[:20] }, "not a message"},
		"loses all":              {func([]byte) []byte { return nil }, "is not there"},
		"cuts":                   {func(text []byte) []byte { return text[:len(text)-1] }, "is not there"},
		"adds":                   {func(text []byte) []byte { return append(text, '\n') }, "is not there"},
		"stores always the same": {func([]byte) []byte { return []byte("Message-ID: <0@bench.test>\n") }, "is there twice"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &receiver{dir: t.TempDir(), change: tt.change}
			tally, err := serve(t, r, nil).Run()
			if err != nil {
				t.Fatal(err)
			}
			if err := tally.CheckMaildir(r.dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestLoadEndsWithTheFirstError(t *testing.T) {
	for name, tt := range map[string]struct {
		config func(*tls.Config)
		change func(*Load, *receiver)
		want   string
	}{
		"refused":           {nil, func(_ *Load, r *receiver) { r.refuse.Store(true) }, `reply to RCPT: "450`},
		"never resumes":     {func(c *tls.Config) { c.SessionTicketsDisabled = true }, func(l *Load, _ *receiver) { l.Resume = true }, "0 of 8 connections resumed"},
		"TLS 1.2":           {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, nil, "protocol version"},
		"other certificate": {nil, func(l *Load, _ *receiver) { l.Certificate = testcert.New(t, testcert.Options{}).TLS.Leaf }, "another certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &receiver{dir: t.TempDir(), change: keep}
			l := serve(t, r, tt.config)
			if tt.change != nil {
				tt.change(&l, r)
			}
			if _, err := l.Run(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestTextHasItsSize(t *testing.T) {
	text := newText(123, 19)
	text.next(4567890)
	wire := text.wire(true)
	if at := strings.Index(string(wire), "\r\n.\r\nQUIT\r\n"); at+2 != Size {
		t.Errorf("text ends at %d, want %d", at+2, Size)
	}
	if !strings.HasPrefix(string(wire), "Message-ID: <0004567890.19.123@bench.test>\r\n") {
		t.Errorf("begins with %.60q", wire)
	}
}

func TestLargeMessageArrives(t *testing.T) {
	var got int
	r := &receiver{dir: t.TempDir(), change: func(text []byte) []byte { got = len(text); return nil }}
	const size = 1 << 20
	if err := serve(t, r, nil).SendLarge(size); err != nil {
		t.Fatal(err)
	}
	if got < size*75/76 || got > size*11/10 { // each line has lost its CR
		t.Errorf("%d bytes arrived of %d", got, size)
	}
}
