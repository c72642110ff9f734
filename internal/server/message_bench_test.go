package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postern/internal/admission"
	"postern/internal/ledger"
	"postern/internal/metrics"
	"postern/internal/nexthop/relay"
	"postern/internal/smtp"
	"postern/internal/smtpd"
	"postern/internal/testcpu"
	"postern/sessionticket"
)

// BenchmarkMessage measures what a message of 4 KiB takes of the program itself: sender and next
// hop are in the same goroutine, and there is no kernel, no TLS and no deadline.
func BenchmarkMessage(b *testing.B) {
	m := metrics.New()
	log := slog.New(slog.DiscardHandler)
	obs := openObserver(sessionticket.OwnWrite, filepath.Join(b.TempDir(), "ledger.db"), smtp.DomainOnly, m, ledger.Options{Log: log})
	defer obs.Close()
	hop := relay.New(relay.Config{
		Network: "tcp", Address: "192.0.2.1:25", TLS: relay.TLSOff, Observe: m.NextHopStep,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return &readyBackend{replies: []byte("220 backend ESMTP\r\n")}, nil
		},
	}, "mx.example.org", log)
	server := smtpd.New(smtpd.Settings{
		Hostname: "mx.example.org",
		Domains:  []string{"example.org"},
		Limits: smtpd.Limits{Messages: b.N, Quotas: admission.Quotas{
			Total:      admission.Quota{Bytes: 1e12},
			PerNetwork: admission.Quota{Bytes: 1e12},
		}},
	}, hop, obs, log)
	b.ReportAllocs()
	sender := newReadySender(b.N)
	used := testcpu.Used(b)
	b.ResetTimer()
	server.Serve(&oneConn{conn: sender})
	server.Shutdown(context.Background())
	b.ReportMetric(float64(testcpu.Used(b)-used)/float64(b.N), "cpu-ns/message")
	if sender.accepted != b.N {
		b.Fatalf("%d messages accepted, want %d", sender.accepted, b.N)
	}
}

// oneConn is a listener with one connection.
type oneConn struct {
	net.Listener
	conn net.Conn
}

func (l *oneConn) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, errors.New("no more")
	}
	conn := l.conn
	l.conn = nil
	return conn, nil
}

func (*oneConn) Close() error { return nil }

// fakeConn has what connections have besides reading and writing.
type fakeConn struct{ net.Conn }

func (fakeConn) Close() error                     { return nil }
func (fakeConn) LocalAddr() net.Addr              { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }
func (fakeConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(198, 51, 100, 7), Port: 4000} }
func (fakeConn) SetDeadline(time.Time) error      { return nil }
func (fakeConn) SetReadDeadline(time.Time) error  { return nil }
func (fakeConn) SetWriteDeadline(time.Time) error { return nil }

const (
	readyEnvelope = "MAIL FROM:<sender@bench.test>\r\nRCPT TO:<user@example.org>\r\nDATA\r\n"
	readyHeader   = "Message-ID: <0000000000.1.1@bench.test>\r\nFrom: <sender@bench.test>\r\nTo: <user@example.org>\r\n" +
		"Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nSubject: a message\r\n\r\n"
)

// A readySender sends messages, one after the other: what it says in a write is there at once.
type readySender struct {
	fakeConn
	writes   []string // the next ones
	messages int      // to be sent after them
	text     string
	accepted int
}

func newReadySender(messages int) *readySender {
	const line = "a line of a message, as long as most lines in the mail are today\r\n"
	text := readyHeader + strings.Repeat(line, (4<<10-len(readyHeader))/len(line)) + ".\r\n"
	return &readySender{writes: []string{"EHLO sender.example\r\n"}, messages: messages, text: text}
}

func (s *readySender) Read(p []byte) (int, error) {
	if len(s.writes) == 0 {
		if s.messages == 0 {
			return 0, io.EOF
		}
		s.messages--
		s.writes = append(s.writes, readyEnvelope, s.text)
	}
	n := copy(p, s.writes[0])
	if s.writes[0] = s.writes[0][n:]; s.writes[0] == "" {
		s.writes = s.writes[1:]
	}
	return n, nil
}

func (s *readySender) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("250 2.0.0 ")) {
		s.accepted++
	}
	return len(p), nil
}

// A readyBackend accepts all messages. Its replies are there at once.
type readyBackend struct {
	fakeConn
	replies []byte
}

func (c *readyBackend) Read(p []byte) (int, error) {
	n := copy(p, c.replies)
	c.replies = c.replies[n:]
	return n, nil
}

func (c *readyBackend) Write(p []byte) (int, error) {
	reply := "250 2.0.0 Ok: queued\r\n"
	switch {
	case bytes.HasPrefix(p, []byte("EHLO")):
		reply = "250-backend\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
	case bytes.HasPrefix(p, []byte("MAIL")):
		reply = "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"
	case bytes.HasPrefix(p, []byte("QUIT")):
		reply = "221 2.0.0 Bye\r\n"
	}
	c.replies = append(c.replies[:0], reply...)
	return len(p), nil
}
