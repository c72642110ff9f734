// Package proxyprotocol accepts connections from load balancers. Each begins with a PROXY protocol
// header, version 1 or 2, which names the client
// (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt).
//
//	ln = proxyprotocol.NewListener(ln, trust)
//	conn, err := ln.Accept()
//	header, err := conn.(*proxyprotocol.Conn).ReadHeader()
//
// Whoever writes the header chooses the client's address. So only trusted networks may, and from
// these a connection without a header is an error: it is never guessed whether there is one.
package proxyprotocol

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/pires/go-proxyproto"
)

// MaxLength bounds what follows the fixed part of a header of version 2, in bytes: the addresses,
// and what the balancer adds (TLVs). Those that are longest have a client's certificate.
const MaxLength = 4096

const (
	fixedV2 = 16  // signature, version, family and length
	maxV1   = 107 // Section 2.1
)

// Errors of [Conn.ReadHeader].
var (
	ErrUntrusted = errors.New("not from a trusted network")
	ErrNoHeader  = errors.New("no PROXY protocol header")
	ErrLong      = fmt.Errorf("PROXY protocol header of more than %d bytes", MaxLength)
	ErrNotTCP    = errors.New("PROXY protocol header for another protocol than TCP")

	// ErrClosed means that the balancer closed the connection before its first byte, as it
	// does to see whether a port is open.
	ErrClosed = errors.New("closed before the PROXY protocol header")
)

// A Listener accepts connections of balancers.
type Listener struct {
	net.Listener
	trust []netip.Prefix
}

// NewListener returns a Listener over ln that trusts the headers of these networks.
func NewListener(ln net.Listener, trust []netip.Prefix) *Listener { return &Listener{ln, trust} }

// Accept returns a *[Conn]. It does not wait for its header.
func (l *Listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{conn, l.trusts(conn.RemoteAddr())}, nil
}

func (l *Listener) trusts(balancer net.Addr) bool {
	tcp, ok := balancer.(*net.TCPAddr)
	if !ok {
		return false
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	return slices.ContainsFunc(l.trust, func(network netip.Prefix) bool { return network.Contains(addr) })
}

// A Conn is a connection on which [Conn.ReadHeader] comes before the first Read. It does not let
// others have the TCP connection below: what the kernel knows of that is about the balancer.
type Conn struct {
	net.Conn
	trusted bool
}

// CloseWrite closes the sending side of the connection.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// A Header is what a balancer says of a connection. Without addresses the connection is its own,
// as that of a health check, or that of a client without an IP address.
type Header struct {
	Client netip.AddrPort
	Server netip.AddrPort // that the client has connected to
}

// ReadHeader reads the header, and no byte beyond. The caller sets the deadline.
func (c *Conn) ReadHeader() (Header, error) {
	if !c.trusted {
		return Header{}, ErrUntrusted
	}
	raw, err := read(c.Conn)
	if err != nil {
		return Header{}, err
	}
	return parse(raw)
}

// read reads the bytes of a header. No header is shorter than the signature of version 2.
func read(from io.Reader) ([]byte, error) {
	b := make([]byte, len(proxyproto.SIGV2), maxV1)
	if n, err := io.ReadFull(from, b); err != nil {
		if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fmt.Errorf("%w: %w", ErrClosed, err)
		}
		return nil, fmt.Errorf("%w: %w", ErrNoHeader, err)
	}
	switch {
	case bytes.Equal(b, proxyproto.SIGV2):
		return readV2(from, b)
	case bytes.HasPrefix(b, proxyproto.SIGV1):
		return readV1(from, b)
	}
	return nil, ErrNoHeader
}

func readV2(from io.Reader, b []byte) ([]byte, error) {
	b = b[:fixedV2]
	if _, err := io.ReadFull(from, b[len(proxyproto.SIGV2):]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoHeader, err)
	}
	length := int(binary.BigEndian.Uint16(b[fixedV2-2:]))
	if length > MaxLength {
		return nil, ErrLong
	}
	b = append(b, make([]byte, length)...)
	if _, err := io.ReadFull(from, b[fixedV2:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoHeader, err)
	}
	return b, nil
}

// readV1 reads byte by byte: what follows the line is the client's.
func readV1(from io.Reader, b []byte) ([]byte, error) {
	for len(b) < maxV1 && b[len(b)-1] != '\n' {
		b = b[:len(b)+1]
		if _, err := io.ReadFull(from, b[len(b)-1:]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoHeader, err)
		}
	}
	return b, nil
}

// parse parses a whole header.
func parse(raw []byte) (Header, error) {
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(raw), len(raw)))
	if err != nil {
		return Header{}, fmt.Errorf("%w: %w", ErrNoHeader, err)
	}
	if h.Command == proxyproto.LOCAL || h.TransportProtocol.IsUnix() {
		return Header{}, nil
	}
	client, toClient := h.SourceAddr.(*net.TCPAddr)
	server, toServer := h.DestinationAddr.(*net.TCPAddr)
	if !toClient || !toServer {
		return Header{}, ErrNotTCP
	}
	return Header{unmap(client), unmap(server)}, nil
}

// unmap returns an address as that of an accepted connection is: IPv4 is never written as IPv6.
func unmap(a *net.TCPAddr) netip.AddrPort {
	return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
}
