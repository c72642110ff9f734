package persona

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"io"
	"net"

	utls "github.com/refraction-networking/utls"

	"postern/handshake/keylog"
)

// A client is the client's side of TLS.
type client interface {
	io.ReadWriteCloser
	Handshake() error
	agreed() *TLS
}

// secure does the handshake, and lets the conversation go on over it.
//
// It does not tell the recorder that the handshake is complete: in TLS 1.3 the server
// may still refuse what the client sent last, such as its certificate. What comes next shows that.
func (c *conversation) secure() error {
	c.visit.Stage = AtHandshake
	c.visit.tickets.report(c.weigh)
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
	c.visit.TLS = secured.agreed()
	c.line = newLine(c.line.language, secured)
	return nil
}

// weigh leaves silently if the client minds a ticket.
func (c *conversation) weigh(ticket int) {
	if c.minds == nil {
		return
	}
	if c.left = c.minds(ticket); c.left != nil {
		c.conn.Complete()
		c.conn.Close()
	}
}

func (c *conversation) newClient(keys io.Writer) (client, error) {
	var conn net.Conn = c.conn
	if c.below != nil {
		conn = c.below(conn)
	}
	if c.shape != nil {
		return c.shapedClient(conn, keys)
	}
	config := &tls.Config{
		ServerName:         c.target.ServerName,
		InsecureSkipVerify: true, // as senders without a policy do
		ClientSessionCache: &c.visit.tickets.standard,
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
		ClientSessionCache: &c.visit.tickets.shaped,
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

func (c standardClient) agreed() *TLS {
	s := c.ConnectionState()
	return &TLS{s.Version, s.CipherSuite, s.DidResume, s.PeerCertificates}
}

type shapedClient struct{ *utls.UConn }

func (c shapedClient) agreed() *TLS {
	s := c.ConnectionState()
	return &TLS{s.Version, s.CipherSuite, s.DidResume, s.PeerCertificates}
}

// upTo makes a client offer no version above the given one.
func upTo(version uint16) func(*tls.Config, Target) error {
	return func(config *tls.Config, _ Target) error {
		config.MinVersion, config.MaxVersion = min(version, tls.VersionTLS12), version
		return nil
	}
}
