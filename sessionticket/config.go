package sessionticket

import (
	"context"
	"crypto/tls"
	"net"
)

// maxWrappers bounds the search for the gate's conn. Servers have two or three
// wrappers; the bound is for a NetConn that returns itself.
const maxWrappers = 16

// Config returns a config that is equal to base, except that the gate controls the
// session tickets.
//
// Config clones base and never changes it. The ticket keys are those of base: those
// that it rotates by itself, and those set with SetSessionTicketKeys before or after
// this call. Its GetConfigForClient, WrapSession and UnwrapSession are called as
// crypto/tls would call them. A nil base means an empty one.
//
// The returned config can be used by any number of listeners at once. Set all fields
// on base before the call: the config of each handshake is made from base, so fields
// set on the returned config have no effect. In particular, do not let
// [net/http.Server.ServeTLS] add NextProtos and Certificates.
func (g *Gate) Config(base *tls.Config) *tls.Config {
	if base == nil {
		base = new(tls.Config)
	}
	s := &server{gate: g, base: base, config: base.Clone()}
	s.choose = s.config.GetConfigForClient
	useKeys(s.config, base)

	gated := s.config.Clone()
	gated.GetConfigForClient = s.configForClient
	return gated
}

// server is one base config behind a gate.
type server struct {
	gate   *Gate
	base   *tls.Config
	config *tls.Config // base's clone, with base's keys
	choose func(*tls.ClientHelloInfo) (*tls.Config, error)
}

// configForClient returns the config of one handshake. It is the GetConfigForClient
// of the gate's config, since that gets the connection and WrapSession does not.
func (s *server) configForClient(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	config, err := s.clone(hello)
	if err != nil {
		return nil, err
	}
	switch mode := s.gate.mode(hello).For(hello); {
	case mode == Stock:
	case mode == TLS12 && config.MinVersion <= tls.VersionTLS12:
		config.SessionTicketsDisabled = true
		config.MaxVersion = tls.VersionTLS12
	case mode == TLS12, mode == NoTicket:
		config.SessionTicketsDisabled = true
	default:
		s.gate.hold(config, hello, mode != FirstWrite)
	}
	return config, nil
}

// clone returns a copy of the config that crypto/tls would use for hello.
func (s *server) clone(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if s.choose == nil {
		return s.config.Clone(), nil
	}
	chosen, err := s.choose(hello)
	if err != nil {
		return nil, err
	}
	if chosen == nil {
		return s.config.Clone(), nil
	}
	config := chosen.Clone()
	useKeys(config, keysFor(chosen, s.base))
	return config, nil
}

// hold makes config announce a ticket to the gate's conn.
func (g *Gate) hold(config *tls.Config, hello *tls.ClientHelloInfo, own bool) {
	c, handshake := below(hello.Conn), hello.Context()
	if c == nil || handshake == nil { // no Context: the caller made hello itself
		g.bypassed(&g.notWrapped, ErrNotWrapped)
		return
	}
	// The config lives as long as the connection. It must not keep hello, which has
	// the whole ClientHello.
	config.WrapSession = announce(config.WrapSession, func(label int) {
		c.expect(g, handshake, label, own)
	})
}

type wrapSession = func(tls.ConnectionState, *tls.SessionState) ([]byte, error)

// announce returns a wrap that calls expect with the length of each TLS 1.3 ticket.
func announce(wrap wrapSession, expect func(label int)) wrapSession {
	return func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		label, err := wrap(cs, ss)
		if err == nil && cs.Version == tls.VersionTLS13 {
			expect(len(label))
		}
		return label, err
	}
}

// below finds the gate's conn that carries the records of a TLS connection over c.
func below(c net.Conn) *conn {
	for range maxWrappers {
		switch wrapper := c.(type) {
		case *conn:
			return wrapper
		case *tls.Conn:
			return nil // TLS in TLS: the conn below has the records of the outer one
		case interface{ NetConn() net.Conn }:
			c = wrapper.NetConn()
		default:
			return nil
		}
	}
	return nil
}

// expect prepares to hold a ticket that crypto/tls has just made.
func (c *conn) expect(g *Gate, handshake context.Context, label int, own bool) {
	h := &hold{
		conn: c, gate: g, own: own,
		handshake: handshake,
		turn:      make(chan struct{}, 1),
		due:       newSessionTicketLen(label),
	}
	c.hold.Store(h)
	if own {
		context.AfterFunc(handshake, h.handshakeReturned)
	}
}
