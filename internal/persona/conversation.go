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
	c := &conversation{Persona: p, target: t, visit: v}
	c.run(ctx, c.talk)
	if p.fallsBack && !v.Completed && v.Stage >= AtSTARTTLS && !t.Protocol.Implicit() {
		again := &conversation{Persona: p, target: t, visit: new(Result)}
		again.run(ctx, again.talkPlainly)
		v.Plaintext, v.Delivered = again.visit.Plaintext, again.visit.Delivered
	}
	return v
}

// A conversation is one connection of a persona.
type conversation struct {
	*Persona
	target Target
	visit  *Result

	conn   *handshake.Conn
	client client // nil before TLS
	line   *line
	left   error // why the client left of its own accord, without a word
}

// run connects and does as said, until the end of ctx.
func (c *conversation) run(ctx context.Context, do func() error) {
	raw, err := c.target.Dial(ctx, "tcp", c.target.Addr)
	if err != nil {
		c.visit.fail(err)
		return
	}
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()
	c.conn = handshake.NewConn(raw, handshake.AtClient)
	if c.target.EHLO == "" {
		c.target.EHLO = literal(raw.LocalAddr())
	}
	c.line = newLine(c.target.Protocol.language(c.target.EHLO), c.conn)
	err = do()
	switch {
	case c.left != nil:
		err = c.left
	case err != nil && ctx.Err() != nil:
		err = fmt.Errorf("no answer in time: %w", ctx.Err())
	}
	c.conn.Close()
	c.visit.fail(err)
	c.visit.Transcript = c.conn.Stop(c.visit.use())
	if c.shape != nil && c.visit.retried() {
		// utls cannot offer a session where it meets a HelloRetryRequest.
		c.visit.tickets = new(tickets)
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

// talk is a visit over TLS.
func (c *conversation) talk() error {
	if !c.target.Protocol.Implicit() {
		if err := c.reachTLS(); err != nil {
			return c.leave(err)
		}
	}
	if err := c.secure(); err != nil {
		return c.leave(err)
	}
	c.visit.Stage = AfterTLS
	return c.leave(c.talkSecurely())
}

// talkPlainly is a visit without TLS.
func (c *conversation) talkPlainly() error {
	if err := c.greet(); err != nil {
		return c.leave(err)
	}
	c.visit.Plaintext = true
	return c.leave(c.deliver())
}

// leave says goodbye, unless err tells that nobody listens.
func (c *conversation) leave(err error) error {
	var refused *refusal
	switch {
	case c.left != nil: // silently
	case err == nil, errors.As(err, &refused), errors.Is(err, ErrNoTLS):
		c.goodbye()
	default:
		c.conn.Fail(err)
	}
	return err
}

func (c *conversation) goodbye() {
	reply, err := c.line.ask(c.line.quit)
	if c.pipelines && err == nil && c.visit.Stage == AfterTLS {
		// One reply more than commands.
		c.visit.Injected = c.line.late(reply) || c.line.in.Buffered() > 0
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
	c.visit.Stage = AtGreeting
	if c.visit.Greeting, err = c.line.reply(""); err != nil {
		return err
	}
	c.visit.Stage = AtEHLO
	c.visit.EHLO, err = c.line.ask(c.line.hello)
	return err
}

// reachTLS comes to where the TLS handshake begins.
func (c *conversation) reachTLS() error {
	if err := c.greet(); err != nil {
		return err
	}
	if !c.line.offersTLS(c.visit.EHLO) {
		return ErrNoTLS
	}
	c.visit.Stage = AtSTARTTLS
	command := c.line.start
	if c.pipelines {
		command += "\r\n" + c.line.harmless
	}
	if _, err := c.line.ask(command); err != nil {
		return err
	}
	if c.line.in.Buffered() > 0 { // it would be taken for TLS, or worse (CVE-2011-0411)
		c.visit.Injected = c.pipelines
		return errBehind
	}
	return nil
}

// talkSecurely says hello over TLS, and delivers what there is.
func (c *conversation) talkSecurely() (err error) {
	if c.target.Protocol.Implicit() {
		if c.visit.Greeting, err = c.line.reply(""); err != nil {
			return err
		}
	}
	c.visit.SecureEHLO, err = c.helloSecurely()
	if len(c.visit.SecureEHLO) > 0 {
		c.conn.Complete()
	}
	if err != nil {
		return err
	}
	if c.left != nil { // the reply was there already, behind the ticket
		return c.left
	}
	c.visit.Completed = true
	return c.deliver()
}

// helloSecurely says hello, for some after a pause in which a ticket may come. Who has
// left over it by then says it to a closed connection.
func (c *conversation) helloSecurely() ([]string, error) {
	if !c.hesitates {
		return c.line.ask(c.line.hello)
	}
	heard := c.line.listen(c.Delay)
	err := c.line.say(c.line.hello)
	<-heard
	if err != nil {
		return nil, err
	}
	return c.line.reply(verb(c.line.hello))
}

func (c *conversation) deliver() error {
	if c.target.Deliver == nil || !c.target.Protocol.Mail() {
		return nil
	}
	if c.target.Deliver.FalseEnd != "" {
		answers, err := c.target.Deliver.smuggle(c.line, c.target.EHLO)
		c.visit.Replies = answers
		return err
	}
	err := c.target.Deliver.send(c.line, c.target.EHLO)
	c.visit.Delivered = err == nil
	return err
}
