// Package front accepts connections of front-ends: load balancers and SMTP proxies that pass on the
// connections of others, and say who the client is.
//
//	ln = front.NewListener(ln, front.XClient, trust)
//	conn, err := ln.Accept()
//	if !conn.(*front.Conn).Trusted { … }
//
// Whoever says who the client is chooses its address. So only trusted networks may, and those have
// to: it is never guessed whether they will.
package front

import (
	"errors"
	"net"
	"net/netip"
	"slices"
)

// ErrUntrusted means that a connection is from elsewhere than a front-end.
var ErrUntrusted = errors.New("not from a trusted network")

// A Protocol is how a front-end says who the client is.
type Protocol int

// The protocols.
const (
	ProxyProtocol Protocol = iota // by a header before all else; see package proxyprotocol
	XClient                       // by the SMTP command XCLIENT
)

// A Listener accepts connections of front-ends.
type Listener struct {
	net.Listener
	protocol Protocol
	trust    []netip.Prefix
}

// NewListener returns a Listener over ln for front-ends in these networks.
func NewListener(ln net.Listener, protocol Protocol, trust []netip.Prefix) *Listener {
	return &Listener{ln, protocol, trust}
}

// Accept returns a *[Conn].
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{conn, l.protocol, l.trusts(conn.RemoteAddr())}, nil
}

func (l *Listener) trusts(addr net.Addr) bool {
	tcp, _ := addr.(*net.TCPAddr) // nil has no address, which is in no network
	from := tcp.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(l.trust, func(network netip.Prefix) bool { return network.Contains(from) })
}

// A Conn is a connection that a listener for front-ends has accepted. It does not let others have
// the TCP connection below: what the kernel knows of that is about the front-end.
type Conn struct {
	net.Conn
	Protocol Protocol
	Trusted  bool // it is from a trusted network
}

// CloseWrite closes the sending side of the connection.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
