package relay

import (
	"context"

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
