package sessionticket

import (
	"crypto/tls"
	"net"
	"sync"
)

// A Gate controls when a server sends its session tickets. The zero value sends
// every ticket in a write of its own after the client's Finished: see [OwnWrite].
//
// A Gate can be used with any number of listeners and configs. Its methods are safe
// for concurrent use. After the first call of a method, the fields must not be
// changed and the Gate must not be copied.
type Gate struct {
	// Mode is the mode of every connection, unless Choose is set.
	Mode Mode

	// Choose, when not nil, returns the mode of one connection. It is called once
	// per handshake, after the config's own GetConfigForClient, on the goroutine of
	// the handshake, and so concurrently. hello.Conn is the connection below TLS and
	// hello.Context the context of the handshake. A value that is none of the
	// constants means [OwnWrite]. Choose is not called for QUIC, where crypto/tls
	// sends no ticket by itself.
	Choose func(hello *tls.ClientHelloInfo) Mode

	// OnBypass, when not nil, is called with the reason why the gate did not hold a
	// ticket: [ErrNotWrapped] or a [*LayoutError]. It is called on the goroutine of
	// the handshake, at most once for each of the two.
	OnBypass func(reason error)

	notWrapped, layout sync.Once
}

// Listener returns ln with every accepted connection wrapped by [Gate.Conn].
func (g *Gate) Listener(ln net.Listener) net.Listener {
	return &listener{Listener: ln, gate: g}
}

type listener struct {
	net.Listener
	gate *Gate
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.gate.Conn(c), nil
}

// Conn returns a wrapper of c that can hold a ticket. Use it directly below
// [tls.Server], or below other wrappers that pass each Write on as it is and have a
// NetConn method that returns what they wrap.
//
// Before TLS starts and after the ticket is sent, Read and Write call those of c and
// cost an atomic load. Like c, the returned conn is safe for concurrent use.
// Closing it discards a ticket that is still held. Closing a [tls.Conn] after the
// handshake sends it, since the close_notify alert is a write.
func (g *Gate) Conn(c net.Conn) net.Conn {
	return &conn{Conn: c}
}

// mode returns the mode of the handshake that begins with hello.
func (g *Gate) mode(hello *tls.ClientHelloInfo) Mode {
	if hello.Conn == nil { // QUIC
		return Stock
	}
	if g.Choose == nil {
		return g.Mode
	}
	return g.Choose(hello)
}

func (g *Gate) bypassed(once *sync.Once, reason error) {
	if g.OnBypass != nil {
		once.Do(func() { g.OnBypass(reason) })
	}
}
