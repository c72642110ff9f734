package relay

import (
	"bufio"
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"time"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// replyBuffer holds a group of pipelined replies. It is small, since each
// session that has sent a message has one.
const replyBuffer = 2048

// A conn is a connection to the server, for one goroutine.
type conn struct {
	net.Conn          // raw, or TLS over it
	raw      net.Conn // below TLS
	in       *bufio.Reader
	hop      *Hop
	sender   *nexthop.Sender // nil for a probe
	name     string          // the argument of EHLO: ours, or the sender's
	caps     smtp.Capabilities
	can      smtp.Extensions // of caps, what the envelope of a message may use
	verified bool            // encrypted, and the certificate is verified
	used     bool            // has carried MAIL, so that the server may have closed it since
	open     bool            // a transaction is open: MAIL was accepted
	waits    int             // for the server, so far
	sent     time.Time       // when the commands that wait for a reply were sent

	resting   *list.Element // in slots; nil while it is used
	restTimer *time.Timer   // closes it
}

// connect opens a connection for sender, or for a probe if that is nil, up to
// where MAIL may follow.
func (h *Hop) connect(ctx context.Context, sender *nexthop.Sender) (*conn, *stepError) {
	begun := time.Now()
	c, err := h.dial(ctx, sender)
	if err != nil {
		return nil, &stepError{stepConnect, err}
	}
	h.took(stepConnect, begun)
	defer context.AfterFunc(ctx, c.abort)()
	c.setTimeout(h.config.Timeouts.Command)
	for _, next := range []struct {
		at step
		do func() error
	}{
		{stepProxy, c.sendProxyHeader},
		{stepHandshake, c.implicitTLS},
		{stepGreeting, c.readGreeting},
		{stepHello, c.hello},
		{stepStartTLS, c.startTLS},
		{stepXClient, c.sendXClient},
	} {
		begun, waits := time.Now(), c.waits
		if err := next.do(); err != nil {
			c.abort()
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return nil, &stepError{next.at, err}
		}
		if c.waits > waits {
			h.took(next.at, begun)
		}
	}
	h.remember(c.can)
	return c, nil
}

func (h *Hop) dial(ctx context.Context, sender *nexthop.Sender) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, h.config.Timeouts.Connect)
	defer cancel()
	raw, err := h.config.Dial(ctx, h.config.Network, h.config.Address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, raw: raw, in: bufio.NewReaderSize(raw, replyBuffer), hop: h, sender: sender, name: h.hostname}, nil
}

func (c *conn) readGreeting() error {
	reply, err := c.readReply()
	return expect(220, reply, err)
}

// hello sends EHLO or LHLO and keeps what the server offers.
func (c *conn) hello() error {
	verb := "EHLO "
	if c.hop.config.LMTP {
		verb = "LHLO "
	}
	reply, err := c.command(verb + c.name)
	if err == nil && reply.Permanent() && !c.hop.config.LMTP {
		// A server without extensions (RFC 5321, Section 3.2).
		c.offers(nil)
		reply, err = c.command("HELO " + c.name)
		return expect(250, reply, err)
	}
	c.offers(smtp.ParseCapabilities(reply))
	return expect(250, reply, err)
}

// expect returns an error for any other reply than one with code.
func expect(code int, reply smtp.Reply, err error) error {
	switch {
	case err != nil:
		return err
	case reply.Code == code:
		return nil
	case reply.Transient(), reply.Permanent():
		return &refusedError{reply}
	}
	return errUnexpectedReply
}

// startTLS uses STARTTLS if it is wanted and offered.
func (c *conn) startTLS() error {
	mode := c.hop.config.TLS
	if mode != TLSAuto && mode != TLSRequire {
		return nil
	}
	if !c.caps.Has("STARTTLS") {
		if mode == TLSRequire {
			return &missingError{"STARTTLS", "starttls=require"}
		}
		return nil
	}
	reply, err := c.command("STARTTLS")
	if err := expect(220, reply, err); err != nil {
		return err
	}
	if c.in.Buffered() > 0 {
		return errUnexpectedReply // in plaintext, so possibly injected
	}
	if err := c.handshake(); err != nil {
		return err
	}
	return c.hello() // what was offered in plaintext does not count (RFC 3207, Section 4.2)
}

func (c *conn) implicitTLS() error {
	if c.hop.config.TLS != TLSImplicit {
		return nil
	}
	return c.handshake()
}

// handshake starts TLS on the connection.
func (c *conn) handshake() error {
	config := &c.hop.config
	c.waits++
	over := tls.Client(c.raw, c.hop.tls)
	if err := over.Handshake(); err != nil {
		return &tlsError{config.Name, config.verified(), err}
	}
	c.Conn = over
	c.in.Reset(over)
	c.verified = config.verified()
	return nil
}

// offers notes what the server offers.
func (c *conn) offers(caps smtp.Capabilities) {
	c.caps, c.can = caps, caps.Extensions()
	c.can.RequireTLS = c.can.RequireTLS && c.verified
}

// setTimeout bounds the next step, a command and its reply, and returns when it begins. While it waits
// for a reply, TLS writes if the server wants new keys (RFC 8446, Section 4.6.3), and cannot read on if
// it could not.
func (c *conn) setTimeout(d time.Duration) (begins time.Time) {
	begins = time.Now()
	c.SetDeadline(begins.Add(d))
	return begins
}

// write sends commands. It refuses to after a reply that nothing asked for, since
// replies and commands could no longer be matched.
func (c *conn) write(commands []byte) error {
	if c.in.Buffered() > 0 {
		return errUnexpectedReply
	}
	_, err := c.Write(commands)
	return err
}

func (c *conn) readReply() (smtp.Reply, error) {
	c.waits++
	return smtp.ReadReply(c.in)
}

// command sends one command and reads its reply.
func (c *conn) command(line string) (smtp.Reply, error) {
	if err := c.write([]byte(line + "\r\n")); err != nil {
		return smtp.Reply{}, err
	}
	return c.readReply()
}

// abort closes the connection at once, without TLS's close_notify: the server must
// not take an unfinished message for a complete one.
func (c *conn) abort() { c.raw.Close() }

// quit sends QUIT and closes the connection.
func (c *conn) quit() {
	c.setTimeout(c.hop.config.Timeouts.Quit)
	if _, err := c.command("QUIT"); err != nil {
		c.abort()
		return
	}
	c.Close()
}
