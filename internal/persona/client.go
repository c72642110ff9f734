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

	"postern/handshake/keylog"
)

// A client is the client's side of TLS.
type client interface {
	io.ReadWriteCloser
	Handshake() error
	state() *tls.ConnectionState
}

// handshake does the handshake, and lets the conversation go on over it.
//
// It does not tell the recorder that the handshake is complete: in TLS 1.3 the server
// may still refuse what the client sent last, such as its certificate. What comes next shows that.
func (c *conversation) handshake() error {
	c.result.Stage = AtHandshake
	c.result.tickets.report(c.ticketArrived)
	keys := new(keylog.Log)
	c.conn.UseKeys(keys)
	c.conn.Begin()
	secured, err := c.newClient(keys)
	if err != nil {
		return err
	}
	if err := secured.Handshake(); err != nil {
		c.noteAnswerInClear(err)
		return err
	}
	c.client = secured
	c.result.TLS = secured.state()
	c.text = newTextConn(c.text.language, secured)
	return nil
}

// ticketArrived leaves silently if the client minds a ticket.
func (c *conversation) ticketArrived(ticket int) {
	if c.onTicket == nil {
		return
	}
	if c.closed = c.onTicket(ticket); c.closed != nil {
		c.conn.Complete()
		c.conn.Close()
	}
}

func (c *conversation) newClient(keys io.Writer) (client, error) {
	var conn net.Conn = c.conn
	if c.wrap != nil {
		conn = c.wrap(conn)
	}
	if c.shape != nil {
		return c.shapedClient(conn, keys)
	}
	config := &tls.Config{
		ServerName:         c.target.ServerName,
		InsecureSkipVerify: true, // as senders without a policy do
		ClientSessionCache: &c.result.tickets.standard,
		KeyLogWriter:       keys,
	}
	if c.configure != nil {
		if err := c.configure(config, c.target); err != nil {
			return nil, err
		}
	}
	return standardClient{tls.Client(conn, config)}, nil
}

func (c *conversation) shapedClient(conn net.Conn, keys io.Writer) (client, error) {
	u := utls.UClient(conn, &utls.Config{
		ServerName:         c.target.ServerName,
		InsecureSkipVerify: true,
		ClientSessionCache: &c.result.tickets.shaped,
		KeyLogWriter:       keys,
		OmitEmptyPsk:       true, // pre_shared_key stands in the shape, for when there is a session
	}, utls.HelloCustom)
	if err := u.ApplyPreset(c.shape(c.target)); err != nil {
		return nil, err
	}
	if keys := u.HandshakeState.State13.KeyShareKeys; keys.Ecdhe == nil {
		// Without a key utls gives up even where a HelloRetryRequest asks for another.
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		keys.Ecdhe = key
	}
	return shapedClient{u}, nil
}

type standardClient struct{ *tls.Conn }

func (c standardClient) state() *tls.ConnectionState {
	s := c.ConnectionState()
	return &s
}

type shapedClient struct{ *utls.UConn }

func (c shapedClient) state() *tls.ConnectionState {
	s := c.ConnectionState()
	return &tls.ConnectionState{Version: s.Version, CipherSuite: s.CipherSuite, DidResume: s.DidResume, PeerCertificates: s.PeerCertificates}
}

// upTo makes a client offer no version above the given one.
func upTo(version uint16) func(*tls.Config, Target) error {
	return func(config *tls.Config, _ Target) error {
		config.MinVersion, config.MaxVersion = min(version, tls.VersionTLS12), version
		return nil
	}
}

// A shape has no more than the client behind it can do, whatever the library that it is
// like offers besides: no finite-field or X448 key exchange, no CCM, no
// encrypt_then_mac. Otherwise a healthy persona would fail for its own lack.

// hello is a ClientHello with these suites and extensions.
func hello(suites []uint16, extensions ...utls.TLSExtension) *utls.ClientHelloSpec {
	return &utls.ClientHelloSpec{CipherSuites: suites, CompressionMethods: []uint8{0}, Extensions: extensions}
}

// with returns spec with extensions in the places of those of the same type.
func with(spec *utls.ClientHelloSpec, extensions ...utls.TLSExtension) *utls.ClientHelloSpec {
	for _, extension := range extensions {
		kind := reflect.TypeOf(extension)
		i := slices.IndexFunc(spec.Extensions, func(e utls.TLSExtension) bool { return reflect.TypeOf(e) == kind })
		spec.Extensions[i] = extension
	}
	return spec
}

// without returns spec without the extension of type E.
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

// keyShares brings keys for groups. The client behind can use that of the first alone.
func keyShares(groups ...utls.CurveID) *utls.KeyShareExtension {
	extension := new(utls.KeyShareExtension)
	for _, group := range groups {
		extension.KeyShares = append(extension.KeyShares, utls.KeyShare{Group: group})
	}
	return extension
}

// serverName is a server_name extension (RFC 6066, Section 3) with any text for a name.
func serverName(name string) *utls.GenericExtension {
	entry := append([]byte{0, byte(len(name) >> 8), byte(len(name))}, name...)
	return &utls.GenericExtension{Data: append([]byte{byte(len(entry) >> 8), byte(len(entry))}, entry...)}
}

// tickets is what a client needs to resume, in the form of its library.
type tickets struct {
	standard cache[tls.ClientSessionState]
	shaped   cache[utls.ClientSessionState]
}

func (t *tickets) held() bool {
	return t != nil && (t.standard.last() != nil || t.shaped.last() != nil)
}

// again returns the same sessions for another connection.
func (t *tickets) again() *tickets {
	another := new(tickets)
	if t != nil {
		another.standard.session, another.shaped.session = t.standard.last(), t.shaped.last()
	}
	return another
}

// report makes f be told the size of each ticket that comes, in bytes.
func (t *tickets) report(f func(size int)) {
	t.standard.came = func(session *tls.ClientSessionState) {
		if ticket, _, err := session.ResumptionState(); err == nil {
			f(len(ticket))
		}
	}
	t.shaped.came = func(session *utls.ClientSessionState) {
		if ticket, _, err := session.ResumptionState(); err == nil {
			f(len(ticket))
		}
	}
}

// A cache is a session cache for one server, whatever names and addresses it has: so a
// session can be taken to another.
type cache[Session any] struct {
	mu      sync.Mutex
	session *Session
	came    func(*Session)
}

// Get returns the last session.
func (c *cache[Session]) Get(string) (*Session, bool) {
	session := c.last()
	return session, session != nil
}

// Put keeps a session; nil: what was kept is of no use.
func (c *cache[Session]) Put(_ string, session *Session) {
	c.mu.Lock()
	c.session = session
	c.mu.Unlock()
	if session != nil {
		c.came(session)
	}
}

func (c *cache[Session]) last() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}
