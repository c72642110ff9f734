package persona

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"
	"reflect"
	"slices"
	"sync"

	utls "github.com/refraction-networking/utls"
)

// A client is a [*tls.Conn] or a [*utls.UConn].
type client interface {
	io.ReadWriteCloser
	Handshake() error
}

func (c *conversation) newClient(keys io.Writer) (client, error) {
	var conn net.Conn = c.conn
	if c.wrap != nil {
		conn = c.wrap(conn)
	}
	if c.refusesTicketWithData {
		c.segments = newSegmentConn(conn, nil) // the delay has separated what came before EHLO
		if c.target.Protocol.Implicit() {
			c.segments.several = oneForEach // the server speaks first, so there is no delay
		}
		conn = c.segments
	}
	if c.shape != nil {
		return c.newShapedClient(conn, keys)
	}
	config := &tls.Config{
		ServerName:         c.target.ServerName,
		InsecureSkipVerify: true, // as senders without a policy do
		ClientSessionCache: &c.result.sessions.standard,
		KeyLogWriter:       keys,
	}
	if c.configure != nil {
		if err := c.configure(config, c.target); err != nil {
			return nil, err
		}
	}
	return tls.Client(conn, config), nil
}

func (c *conversation) newShapedClient(conn net.Conn, keys io.Writer) (client, error) {
	u := utls.UClient(conn, &utls.Config{
		ServerName:         c.target.ServerName,
		InsecureSkipVerify: true,
		ClientSessionCache: &c.result.sessions.shaped,
		KeyLogWriter:       keys,
		OmitEmptyPsk:       true, // the shape has pre_shared_key for when there is a session
	}, utls.HelloCustom)
	if err := u.ApplyPreset(c.shape(c.target)); err != nil {
		return nil, err
	}
	if keys := u.HandshakeState.State13.KeyShareKeys; keys.Ecdhe == nil {
		// Without a key utls fails even if a HelloRetryRequest asks for another group.
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		keys.Ecdhe = key
	}
	return u, nil
}

// connectionState returns what the handshake of c negotiated.
func connectionState(c client) *tls.ConnectionState {
	if u, ok := c.(*utls.UConn); ok {
		s := u.ConnectionState()
		return &tls.ConnectionState{Version: s.Version, CipherSuite: s.CipherSuite, DidResume: s.DidResume, PeerCertificates: s.PeerCertificates}
	}
	s := c.(*tls.Conn).ConnectionState()
	return &s
}

// A shape offers only what utls can do, whatever the imitated library offers besides: no
// finite-field or X448 key exchange, no CCM, no encrypt_then_mac. Otherwise a server could
// choose what the client does not have.

// hello returns a ClientHello with these suites and extensions.
func hello(suites []uint16, extensions ...utls.TLSExtension) *utls.ClientHelloSpec {
	return &utls.ClientHelloSpec{CipherSuites: suites, CompressionMethods: []uint8{0}, Extensions: extensions}
}

// with replaces the extensions of the same types in spec.
func with(spec *utls.ClientHelloSpec, extensions ...utls.TLSExtension) *utls.ClientHelloSpec {
	for _, extension := range extensions {
		kind := reflect.TypeOf(extension)
		i := slices.IndexFunc(spec.Extensions, func(e utls.TLSExtension) bool { return reflect.TypeOf(e) == kind })
		spec.Extensions[i] = extension
	}
	return spec
}

// without removes the extension of type E from spec.
func without[E utls.TLSExtension](spec *utls.ClientHelloSpec) *utls.ClientHelloSpec {
	spec.Extensions = slices.DeleteFunc(spec.Extensions, func(e utls.TLSExtension) bool {
		_, is := e.(E)
		return is
	})
	return spec
}

func versions(v ...uint16) *utls.SupportedVersionsExtension {
	return &utls.SupportedVersionsExtension{Versions: v}
}

func groups(g ...utls.CurveID) *utls.SupportedCurvesExtension {
	return &utls.SupportedCurvesExtension{Curves: g}
}

func signatures(s ...utls.SignatureScheme) *utls.SignatureAlgorithmsExtension {
	return &utls.SignatureAlgorithmsExtension{SupportedSignatureAlgorithms: s}
}

// keyShares sends a key share for each group. utls can use only the first.
func keyShares(groups ...utls.CurveID) *utls.KeyShareExtension {
	extension := new(utls.KeyShareExtension)
	for _, group := range groups {
		extension.KeyShares = append(extension.KeyShares, utls.KeyShare{Group: group})
	}
	return extension
}

// sessions are a client's sessions, for either TLS library.
type sessions struct {
	standard sessionCache[tls.ClientSessionState]
	shaped   sessionCache[utls.ClientSessionState]
}

func (s *sessions) held() bool {
	return s != nil && (s.standard.last() != nil || s.shaped.last() != nil)
}

// clone returns the same sessions for another connection.
func (s *sessions) clone() *sessions {
	other := new(sessions)
	if s != nil {
		other.standard.session, other.shaped.session = s.standard.last(), s.shaped.last()
	}
	return other
}

// onTicket sets a function to call with the size of each ticket received, in bytes.
func (s *sessions) onTicket(f func(size int)) {
	s.standard.onPut = func(session *tls.ClientSessionState) {
		if ticket, _, err := session.ResumptionState(); err == nil {
			f(len(ticket))
		}
	}
	s.shaped.onPut = func(session *utls.ClientSessionState) {
		if ticket, _, err := session.ResumptionState(); err == nil {
			f(len(ticket))
		}
	}
}

// A sessionCache keeps one session, whatever the server's name, so that it can be offered
// to another server.
type sessionCache[Session any] struct {
	mu      sync.Mutex
	session *Session
	onPut   func(*Session)
}

// Get returns the last session.
func (c *sessionCache[Session]) Get(string) (*Session, bool) {
	session := c.last()
	return session, session != nil
}

// Put stores a session; nil deletes the last one.
func (c *sessionCache[Session]) Put(_ string, session *Session) {
	c.mu.Lock()
	c.session = session
	c.mu.Unlock()
	if session != nil {
		c.onPut(session)
	}
}

func (c *sessionCache[Session]) last() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}
