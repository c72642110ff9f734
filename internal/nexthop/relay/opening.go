package relay

import (
	"context"
	"crypto/tls"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// An opening brings a connection to the point where MAIL may follow.
type opening struct {
	hop    *Hop
	sender *nexthop.Sender // nil for a probe
	conn   *conn
}

// connect opens a connection for sender, or for a probe if that is nil.
func (h *Hop) connect(ctx context.Context, sender *nexthop.Sender) (*conn, *troubleError) {
	o := &opening{hop: h, sender: sender}
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
	_, err := o.conn.Write(appendProxyV2(nil, o.sender))
	return err
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

func (o *opening) greeting() error {
	reply, err := o.conn.hear()
	return expect(220, reply, err)
}

func (o *opening) hello() error { return o.greet(o.hop.hostname) }

// greet says EHLO or LHLO and keeps the answer.
func (o *opening) greet(name string) error {
	verb := "EHLO "
	if o.hop.config.LMTP {
		verb = "LHLO "
	}
	reply, err := o.conn.ask(verb + name)
	if err == nil && reply.Permanent() && !o.hop.config.LMTP {
		// A server without extensions (RFC 5321, Section 3.2).
		o.conn.caps = nil
		reply, err = o.conn.ask("HELO " + name)
		return expect(250, reply, err)
	}
	o.conn.caps = smtp.ParseCapabilities(reply)
	return expect(250, reply, err)
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

// xclient tells the server about the sender. After its 220 the session begins
// anew.
func (o *opening) xclient() error {
	mode := o.hop.config.XClient
	if mode == XClientOff || o.sender == nil {
		return nil
	}
	command := xclientCommand(o.conn.caps["XCLIENT"], o.sender)
	if command == "" {
		if mode == XClientOn {
			return &missingError{"XCLIENT", "xclient=on"}
		}
		return nil
	}
	// A refusal is not passed over: as ourselves we may be allowed more than
	// the sender is.
	reply, err := o.conn.ask(command)
	if err := expect(220, reply, err); err != nil {
		return err
	}
	// The server writes what it hears now into its trace field.
	if isHostname(o.sender.Greeting) {
		return o.greet(o.sender.Greeting)
	}
	return o.hello()
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
