package demo

import (
	"net"
	"net/netip"
	"sync"
)

// An entrance is a listener whose connections come from senders with addresses that this
// machine does not have. Each sender connects to a door of its own.
type entrance struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	doors map[netip.Addr]net.Listener
}

func newEntrance() *entrance {
	return &entrance{conns: make(chan net.Conn), closed: make(chan struct{}), doors: make(map[netip.Addr]net.Listener)}
}

// door returns the loopback address at which the sender with an address connects.
func (e *entrance) door(sender netip.Addr) (addr string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if open := e.doors[sender]; open != nil {
		return open.Addr().String(), nil
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	e.doors[sender] = ln
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			select {
			case e.conns <- &foreignConn{conn, sender}:
			case <-e.closed:
				conn.Close()
			}
		}
	}()
	return ln.Addr().String(), nil
}

// Accept implements [net.Listener].
func (e *entrance) Accept() (net.Conn, error) {
	select {
	case conn := <-e.conns:
		return conn, nil
	case <-e.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (e *entrance) Close() error {
	e.once.Do(func() { close(e.closed) })
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, door := range e.doors {
		door.Close()
	}
	return nil
}

// Addr implements [net.Listener].
func (e *entrance) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 25} }

// A foreignConn is a connection from a sender with another address.
type foreignConn struct {
	net.Conn
	sender netip.Addr
}

// RemoteAddr implements [net.Conn].
func (c *foreignConn) RemoteAddr() net.Addr {
	port := c.Conn.RemoteAddr().(*net.TCPAddr).AddrPort().Port()
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.sender, port))
}
