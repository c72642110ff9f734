package persona

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"postern/handshake"
)

// patience bounds a visit. It is more than the pauses of servers that greet late, of
// which 30 s is a usual one; a caller with less time has a context.
const patience = 45 * time.Second

// Run visits the server at t, once, or twice if the persona comes back in plaintext.
// It ends with ctx and after at most 45 s, leaves with QUIT where the server still
// listens, and sends no mail unless t.Deliver is set. It returns a visit always.
//
// Run is safe for concurrent use.
func (p *Persona) Run(ctx context.Context, t Target) *Result {
	return p.call(ctx, t, new(tickets))
}

// Resume visits as [Persona.Run] does, with the session that the server gave in an
// earlier visit of the same persona. T need not be the server of that visit. The
// earlier visit keeps the session.
func (p *Persona) Resume(ctx context.Context, t Target, earlier *Result) *Result {
	return p.call(ctx, t, earlier.tickets.again())
}

func (p *Persona) call(ctx context.Context, t Target, held *tickets) *Result {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	v := &Result{tickets: held}
	t, err := t.complete()
	if err != nil {
		v.fail(err)
		return v
	}
	c := &conversation{Persona: p, target: t, result: v}
	c.run(ctx, c.overTLS)
	if p.fallsBack && !v.Completed && v.Stage >= AtSTARTTLS && !t.Protocol.Implicit() {
		again := &conversation{Persona: p, target: t, result: new(Result)}
		again.run(ctx, again.overPlaintext)
		v.Plaintext, v.Delivered = again.result.Plaintext, again.result.Delivered
	}
	return v
}

// A conversation is one connection of a persona.
type conversation struct {
	*Persona
	target Target
	result *Result

	conn   *handshake.Conn
	client client // nil before TLS
	text   *textConn
	closed error // why the client left of its own accord, without a word
}

// run connects and does as said, until the end of ctx.
func (c *conversation) run(ctx context.Context, do func() error) {
	raw, err := c.target.Dial(ctx, "tcp", c.target.Addr)
	if err != nil {
		c.result.fail(err)
		return
	}
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()
	c.conn = handshake.NewConn(raw, handshake.AtClient)
	if c.target.EHLO == "" {
		c.target.EHLO = literal(raw.LocalAddr())
	}
	c.text = newTextConn(c.target.Protocol.language(c.target.EHLO), c.conn)
	err = do()
	switch {
	case c.closed != nil:
		err = c.closed
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("no answer in time: %w", ctx.Err())
	}
	c.conn.Close()
	c.result.fail(err)
	c.result.Transcript = c.conn.Stop(c.result.use())
	if c.shape != nil && c.result.retried() {
		// utls cannot offer a session where it meets a HelloRetryRequest.
		c.result.tickets = new(tickets)
	}
}

// literal is an address as RFC 5321, Section 4.1.3 writes it.
func literal(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	switch {
	case !ok:
		return "localhost"
	case tcp.IP.To4() != nil:
		return "[" + tcp.IP.String() + "]"
	}
	return "[IPv6:" + tcp.IP.String() + "]"
}

// overTLS is a visit over TLS.
func (c *conversation) overTLS() error {
	if !c.target.Protocol.Implicit() {
		if err := c.startTLS(); err != nil {
			return c.finish(err)
		}
	}
	if err := c.handshake(); err != nil {
		return c.finish(err)
	}
	c.result.Stage = AfterTLS
	return c.finish(c.afterHandshake())
}

// overPlaintext is a visit without TLS.
func (c *conversation) overPlaintext() error {
	if err := c.greet(); err != nil {
		return c.finish(err)
	}
	c.result.Plaintext = true
	return c.finish(c.deliver())
}

// finish says goodbye, unless err tells that nobody listens.
func (c *conversation) finish(err error) error {
	var refused *refusal
	switch {
	case c.closed != nil: // silently
	case err == nil, errors.As(err, &refused), errors.Is(err, ErrNoTLS):
		c.quit()
	default:
		c.conn.Fail(err)
	}
	return err
}

func (c *conversation) quit() {
	reply, err := c.text.ask(c.text.quit)
	if c.injects && err == nil && c.result.Stage == AfterTLS {
		// One reply more than commands.
		c.result.Injected = c.text.late(reply) || c.text.in.Buffered() > 0
	}
	if c.client != nil {
		c.client.Close()
	}
}

// ErrNoTLS is in the chain of a visit's error where the server does not offer TLS.
var ErrNoTLS = errors.New("the server does not offer TLS")

var errBehind = errors.New("the server said something in clear behind its reply to STARTTLS")

// greet reads the greeting and says hello in clear.
func (c *conversation) greet() (err error) {
	c.result.Stage = AtGreeting
	if c.result.Greeting, err = c.text.reply(""); err != nil {
		return err
	}
	c.result.Stage = AtEHLO
	c.result.EHLO, err = c.text.ask(c.text.hello)
	return err
}

// startTLS comes to where the TLS handshake begins.
func (c *conversation) startTLS() error {
	if err := c.greet(); err != nil {
		return err
	}
	if !c.text.offersTLS(c.result.EHLO) {
		return ErrNoTLS
	}
	c.result.Stage = AtSTARTTLS
	command := c.text.start
	if c.injects {
		command += "\r\n" + c.text.harmless
	}
	if _, err := c.text.ask(command); err != nil {
		return err
	}
	if c.text.in.Buffered() > 0 { // it would be taken for TLS, or worse (CVE-2011-0411)
		c.result.Injected = c.injects
		return errBehind
	}
	return nil
}

// afterHandshake says hello over TLS, and delivers what there is.
func (c *conversation) afterHandshake() (err error) {
	if c.target.Protocol.Implicit() {
		if c.result.Greeting, err = c.text.reply(""); err != nil {
			return err
		}
	}
	c.result.SecureEHLO, err = c.ehloAfterHandshake()
	if len(c.result.SecureEHLO) > 0 {
		c.conn.Complete()
	}
	if err != nil {
		return err
	}
	if c.closed != nil { // the reply was there already, behind the ticket
		return c.closed
	}
	c.result.Completed = true
	return c.deliver()
}

// ehloAfterHandshake says hello, for some after a pause in which a ticket may come. Who has
// left over it by then says it to a closed connection.
func (c *conversation) ehloAfterHandshake() ([]string, error) {
	if !c.delaysEHLO {
		return c.text.ask(c.text.hello)
	}
	heard := c.text.listen(c.Delay)
	err := c.text.say(c.text.hello)
	<-heard
	if err != nil {
		return nil, err
	}
	return c.text.reply(verb(c.text.hello))
}

func (c *conversation) deliver() error {
	if c.target.Deliver == nil || !c.target.Protocol.Mail() {
		return nil
	}
	if c.target.Deliver.FalseEnd != "" {
		answers, err := c.target.Deliver.smuggle(c.text, c.target.EHLO)
		c.result.Replies = answers
		return err
	}
	err := c.target.Deliver.send(c.text, c.target.EHLO)
	c.result.Delivered = err == nil
	return err
}
