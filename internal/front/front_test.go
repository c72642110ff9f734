package front

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
)

// The sending side is closed alone, for a lingering close, and a closed listener says so.
func TestConnectionsAreThoseBelow(t *testing.T) {
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln := NewListener(below, XClient, nil)
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if c := conn.(*Conn); c.Protocol != XClient || c.Trusted {
		t.Errorf("the connection is %+v", c)
	}
	if err := conn.(*Conn).CloseWrite(); err != nil {
		t.Error(err)
	}
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the client reads %d bytes, %v", n, err)
	}
	client.Write([]byte("x"))
	if n, err := conn.Read(make([]byte, 1)); n != 1 {
		t.Errorf("%d bytes, %v", n, err)
	}
	ln.Close()
	if conn, err := ln.Accept(); conn != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v, %v", conn, err)
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	if err := (&Conn{Conn: ours}).CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a pipe, which has no sides: %v", err)
	}
}

// stranger is a connection from an address.
type stranger struct {
	net.Conn
	from net.Addr
}

func (s stranger) RemoteAddr() net.Addr { return s.from }

// one is a listener with one connection.
type one struct {
	net.Listener
	conn net.Conn
}

func (l one) Accept() (net.Conn, error) { return l.conn, nil }

// Only the networks named may say who a client is.
func TestOnlyTrustedNetworksAreBelieved(t *testing.T) {
	trust := []netip.Prefix{netip.MustParsePrefix("192.0.2.8/31"), netip.MustParsePrefix("2001:db8::/64"), netip.MustParsePrefix("fe80::/64")}
	for from, want := range map[string]bool{
		"192.0.2.8": true, "192.0.2.9": true, "192.0.2.10": false, "::ffff:192.0.2.8": true, "::ffff:192.0.2.7": false,
		"2001:db8::1": true, "2001:db8:0:1::1": false, "fe80::1": true, "::192.0.2.8": false,
	} {
		addr := &net.TCPAddr{IP: net.ParseIP(from), Port: 40_000}
		if from == "fe80::1" {
			addr.Zone = "eth0"
		}
		conn, err := NewListener(one{conn: stranger{nil, addr}}, ProxyProtocol, trust).Accept()
		if err != nil || conn.(*Conn).Trusted != want {
			t.Errorf("%s: %+v, %v, want %v", from, conn, err, want)
		}
	}
	conn, err := NewListener(one{conn: stranger{nil, &net.UnixAddr{Name: "/run/client"}}}, ProxyProtocol, trust).Accept()
	if err != nil || conn.(*Conn).Trusted {
		t.Errorf("by a Unix socket: %+v, %v", conn, err)
	}
}
