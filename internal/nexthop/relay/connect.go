package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"time"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// An opening brings a connection to the point where MAIL may follow.
type opening struct {
	hop    *Hop
	sender *nexthop.Sender // nil for a probe
	conn   *conn
	as     string // what we call ourselves in EHLO
}

// connect opens a connection for sender, or for a probe if that is nil.
func (h *Hop) connect(ctx context.Context, sender *nexthop.Sender) (*conn, *troubleError) {
	o := &opening{hop: h, sender: sender, as: h.hostname}
	if err := o.dial(ctx); err != nil {
		return nil, &troubleError{stepConnect, err}
	}
	stop := context.AfterFunc(ctx, o.conn.drop)
	defer stop()
	o.conn.within(h.config.Timeouts.Command)
	for _, next := range []struct {
		at step
		do func() error
	}{
		{stepProxy, o.proxy},
		{stepHandshake, o.implicitTLS},
		{stepGreeting, o.greeting},
		{stepHello, o.hello},
		{stepStartTLS, o.startTLS},
		{stepXClient, o.xclient},
	} {
		if err := next.do(); err != nil {
			o.conn.drop()
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return nil, &troubleError{next.at, err}
		}
	}
	h.learn(o.conn)
	return o.conn, nil
}

func (o *opening) dial(ctx context.Context) error {
	config := &o.hop.config
	ctx, cancel := context.WithTimeout(ctx, config.Timeouts.Connect)
	defer cancel()
	raw, err := config.Dial(ctx, config.Network, config.Address)
	if err == nil {
		o.conn = newConn(raw)
	}
	return err
}

func (o *opening) proxy() error {
	if !o.hop.config.ProxyV2 {
		return nil
	}
	if isKnown(o.sender) {
		o.introduce()
	}
	_, err := o.conn.Write(appendProxyV2(nil, o.sender))
	return err
}

// introduce makes the next EHLO the sender's: the server takes us for it then,
// and the name goes into its checks and its trace field.
func (o *opening) introduce() {
	if isHostname(o.sender.Greeting) {
		o.as = o.sender.Greeting
	}
}

// isHostname reports whether name may follow EHLO. Senders say all sorts of
// things there.
func isHostname(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return name != "" && len(name) <= maxAttribute
}

func (o *opening) greeting() error {
	reply, err := o.conn.hear()
	return expect(220, reply, err)
}

// hello says EHLO or LHLO and keeps the answer.
func (o *opening) hello() error {
	verb := "EHLO "
	if o.hop.config.LMTP {
		verb = "LHLO "
	}
	reply, err := o.conn.ask(verb + o.as)
	if err == nil && reply.Permanent() && !o.hop.config.LMTP {
		// A server without extensions (RFC 5321, Section 3.2).
		o.conn.caps = nil
		reply, err = o.conn.ask("HELO " + o.as)
		return expect(250, reply, err)
	}
	o.conn.caps = smtp.ParseCapabilities(reply)
	return expect(250, reply, err)
}

// expect makes an error of any other reply than the one with code.
func expect(code int, reply smtp.Reply, err error) error {
	switch {
	case err != nil:
		return err
	case reply.Code == code:
		return nil
	case reply.Transient(), reply.Permanent():
		return &refusedError{reply}
	}
	return errTurn
}

func (o *opening) implicitTLS() error {
	if o.hop.config.TLS != TLSImplicit {
		return nil
	}
	return o.secure()
}

// secure puts TLS over the connection.
func (o *opening) secure() error {
	config := &o.hop.config
	over := tls.Client(o.conn.raw, o.hop.tls)
	if err := over.Handshake(); err != nil {
		return &tlsError{config.Name, config.verified(), err}
	}
	o.conn.wrap(over)
	o.conn.verified = config.verified()
	return nil
}

// startTLS uses STARTTLS if it is wanted and offered.
func (o *opening) startTLS() error {
	mode := o.hop.config.TLS
	if mode != TLSAuto && mode != TLSRequire {
		return nil
	}
	if !o.conn.caps.Has("STARTTLS") {
		if mode == TLSRequire {
			return &missingError{"STARTTLS", "starttls=require"}
		}
		return nil
	}
	reply, err := o.conn.ask("STARTTLS")
	if err := expect(220, reply, err); err != nil {
		return err
	}
	if o.conn.in.Buffered() > 0 {
		return errTurn // said in clear, perhaps by someone else
	}
	if err := o.secure(); err != nil {
		return err
	}
	return o.hello() // what was offered in clear is forgotten (RFC 3207, Section 4.2)
}

// replyBuffer holds a group of pipelined replies. It is small since each
// session that has sent a message holds one.
const replyBuffer = 2048

// A conn is a connection to the server. It is used by one goroutine.
type conn struct {
	net.Conn          // raw, or TLS over it
	raw      net.Conn // below TLS
	in       *bufio.Reader
	caps     smtp.Capabilities
	verified bool // encrypted, with a certificate that was verified
	used     bool // has carried MAIL, so that it may have gone stale since
	open     bool // a transaction is open: MAIL was taken
}

func newConn(raw net.Conn) *conn {
	return &conn{Conn: raw, raw: raw, in: bufio.NewReaderSize(raw, replyBuffer)}
}

// wrap makes over the one that is read and written: TLS over raw.
func (c *conn) wrap(over net.Conn) {
	c.Conn = over
	c.in.Reset(over)
}

// extensions are those that the envelope of a message on c may use.
func (c *conn) extensions() smtp.Extensions {
	extensions := c.caps.Extensions()
	extensions.RequireTLS = extensions.RequireTLS && c.verified
	return extensions
}

// within bounds the next step.
func (c *conn) within(d time.Duration) { c.SetDeadline(time.Now().Add(d)) }

// say writes commands. Where the server has said more than it was asked, its
// replies and our commands could no longer be told to belong together.
func (c *conn) say(commands []byte) error {
	if c.in.Buffered() > 0 {
		return errTurn
	}
	_, err := c.Write(commands)
	return err
}

// hear reads one reply.
func (c *conn) hear() (smtp.Reply, error) { return smtp.ReadReply(c.in) }

// ask is one command and its reply.
func (c *conn) ask(command string) (smtp.Reply, error) {
	if err := c.say([]byte(command + "\r\n")); err != nil {
		return smtp.Reply{}, err
	}
	return c.hear()
}

// drop closes the connection at once, without the end of TLS: what was begun
// on it must not look finished.
func (c *conn) drop() { c.raw.Close() }

// quit takes leave of the server and closes the connection.
func (c *conn) quit(patience time.Duration) {
	c.within(patience)
	if _, err := c.ask("QUIT"); err != nil {
		c.drop()
		return
	}
	c.Close()
}
