package web

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"postern/internal/fallback"
	"postern/internal/logkey"
)

// A listener lets in as many connections as there is room for. The others are
// closed before they cost anything.
type listener struct {
	net.Listener
	server *Server
}

func (l *listener) Accept() (net.Conn, error) {
	s := l.server
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) { // net/http tries again
				s.log.Warn("connections are not accepted for a moment", logkey.Err, err)
			}
			return nil, err
		}
		from := networkOf(conn.RemoteAddr().String())
		if refused := s.admit(from); refused != "" {
			s.log.Info("web client turned away", logkey.Client, conn.RemoteAddr(), logkey.Network, from, logkey.Reason, refused)
			conn.Close()
			continue
		}
		return admitted(conn, func() { s.admission.Leave(from) }), nil
	}
}

// admit counts a connection in, or says why not. What comes over it begins with a
// TLS handshake, which costs.
func (s *Server) admit(from netip.Prefix) (refused string) {
	if !s.admission.Enter(from, shares) {
		return "too many connections"
	}
	if !s.admission.Start(from, shares) {
		s.admission.Leave(from)
		return "too many TLS handshakes and requests"
	}
	return ""
}

// networkOf is the network of an address with its port.
func networkOf(addr string) netip.Prefix {
	from, _ := netip.ParseAddrPort(addr)
	return fallback.Network(from.Addr())
}

// A connection counts out when it is closed, which it is in time.
type connection struct {
	net.Conn
	end   *time.Timer
	leave func()
}

func admitted(conn net.Conn, leave func()) *connection {
	return &connection{conn, time.AfterFunc(connectionTime, func() { conn.Close() }), sync.OnceFunc(leave)}
}

// Close closes the connection.
func (c *connection) Close() error {
	c.end.Stop()
	c.leave() // before the client can know
	return c.Conn.Close()
}
