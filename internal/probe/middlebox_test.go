package probe_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"testing"

	"postern/internal/probe"
	"postern/internal/testcert"
	"postern/internal/tlsrecord"
)

// A device on the path resets a connection over the ClientHello: over the signature schemes
// of ML-DSA, or over its size alone. The probe tells them apart.
func TestDeviceThatResetsOverClientHelloIsFound(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, testcert.Options{})
	config := &tls.Config{Certificates: []tls.Certificate{pair.TLS}}
	for name, tt := range map[string]struct {
		rejects    func(hello []byte) bool
		found, not string
	}{
		"signature schemes": {func(b []byte) bool { return bytes.Contains(b, []byte{9, 4, 9, 5, 9, 6}) }, "ml-dsa-hello", "big-hello"},
		"size":              {func(b []byte) bool { return len(b) > 1400 }, "big-hello", "ml-dsa-hello"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := serve(t, config, func(l net.Listener) net.Listener { return &middlebox{l, tt.rejects} })
			_, r := examine(t, &probe.Prober{RootCAs: pair.Pool}, addr)
			f := finding(t, r.AllFindings(), tt.found)
			if f.Severity != probe.Critical || f.Case == nil || f.Case.ID != tt.found {
				t.Errorf("%+v", f)
			}
			if slices.ContainsFunc(r.AllFindings(), func(f probe.Finding) bool { return f.ID == tt.not }) {
				t.Errorf("%s too", tt.not)
			}
		})
	}
}

// A middlebox resets connections whose ClientHello it rejects.
type middlebox struct {
	net.Listener
	rejects func(hello []byte) bool
}

func (m *middlebox) Accept() (net.Conn, error) {
	c, err := m.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &inspectedConn{Conn: c, rejects: m.rejects}, nil
}

// An inspectedConn reads a ClientHello whole before it passes any of it on.
type inspectedConn struct {
	net.Conn
	rejects func(hello []byte) bool
	pending []byte
}

func (c *inspectedConn) Read(b []byte) (int, error) {
	if len(c.pending) == 0 {
		chunk := make([]byte, 4096)
		n, err := c.Conn.Read(chunk)
		for err == nil && tlsrecord.BeginsHandshake(chunk[:n]) && (n < tlsrecord.HeaderLen || n < tlsrecord.HeaderLen+tlsrecord.Length(chunk)) {
			var more int
			more, err = c.Conn.Read(chunk[n:])
			n += more
		}
		if err != nil {
			return 0, err
		}
		c.pending = chunk[:n]
		if tlsrecord.BeginsHandshake(c.pending) && c.rejects(c.pending) {
			c.Conn.(*net.TCPConn).SetLinger(0)
			c.Conn.Close()
			return 0, errors.New("reset by the middlebox")
		}
	}
	n := copy(b, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}
