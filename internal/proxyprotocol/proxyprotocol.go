// Package proxyprotocol reads the header with which a connection of a load balancer begins, and which
// names the client: the PROXY protocol, version 1 or 2
// (https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt). Package front says which connections
// are those of balancers.
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

	"github.com/pires/go-proxyproto"
)

// MaxLength bounds what follows the fixed part of a header of version 2, in bytes: the addresses,
// and what the balancer adds (TLVs). Those that are longest have a client's certificate.
const MaxLength = 4096

const (
	fixedV2 = 16  // signature, version, family and length
	maxV1   = 107 // Section 2.1
)

// Errors of [ReadHeader].
var (
	ErrNoHeader = errors.New("no PROXY protocol header")
	ErrLong     = fmt.Errorf("PROXY protocol header of more than %d bytes", MaxLength)
	ErrNotTCP   = errors.New("PROXY protocol header for another protocol than TCP")

	// ErrClosed means that the balancer closed the connection before its first byte, as it
	// does to see whether a port is open.
	ErrClosed = errors.New("closed before the PROXY protocol header")
)

// A Header is what a balancer says of a connection. Without addresses the connection is its own,
// as that of a health check, or that of a client without an IP address.
type Header struct {
	Client netip.AddrPort
	Server netip.AddrPort // that the client has connected to
}

// ReadHeader reads the header from a connection, and no byte beyond. The caller sets the deadline.
func ReadHeader(conn io.Reader) (Header, error) {
	raw, err := read(conn)
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
