package persona

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"postern/handshake"
	"postern/handshake/keylog"
	"postern/internal/probekey"
)

// runTimeout bounds a run. It is longer than the usual greeting delay of 30 s against spam;
// a caller with less time has a context.
const runTimeout = 45 * time.Second

// Run connects to t, and a second time if the persona falls back to plaintext. It ends with
// ctx, after at most 45 s, quits if it can, and sends no mail unless t.Deliver is set. The
// result is never nil.
//
// Run is safe for concurrent use.
func (p *Persona) Run(ctx context.Context, t Target) *Result {
	return p.run(ctx, t, new(sessions))
}

// Resume is [Persona.Run] offering the session of an earlier run of the same persona, which
// keeps it. T may be another server.
func (p *Persona) Resume(ctx context.Context, t Target, earlier *Result) *Result {
	return p.run(ctx, t, earlier.sessions.clone())
}

func (p *Persona) run(ctx context.Context, t Target, s *sessions) *Result {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	r := &Result{sessions: s}
	t, err := t.complete()
	if err != nil {
		r.fail(err)
		return r
	}
	c := &conversation{Persona: p, target: t, result: r}
	c.run(ctx, c.overTLS)
	if p.fallsBack && !r.Completed && r.Stage >= AtSTARTTLS && !t.Protocol.Implicit() {
		second := &conversation{Persona: p, target: t, result: new(Result)}
		second.run(ctx, second.overPlaintext)
		r.Plaintext, r.Delivered = second.result.Plaintext, second.result.Delivered
	}
	return r
}

// A conversation is one connection of a persona.
type conversation struct {
	*Persona
	target Target
	result *Result

	conn   *handshake.Conn
	client client // nil before TLS
	text   *textConn
	closed error // why the client closed without a word; nil: it did not

	segments    *segmentConn // for a persona that refuses tickets with data
	ticketWrite int          // the server's write that the last ticket came in
}

// run connects and calls do, bounded by ctx.
func (c *conversation) run(ctx context.Context, do func() error) {
	raw, err := c.target.Dial(ctx, "tcp", c.target.Addr)
	if err != nil {
		c.result.fail(err)
		return
	}
	defer context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })()
	c.conn = handshake.NewConn(raw, handshake.AtClient)
	if c.target.EHLO == "" {
		c.target.EHLO = addressLiteral(raw.LocalAddr())
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
		// utls cannot offer a session to a server that sends a HelloRetryRequest.
		c.result.sessions = new(sessions)
	}
}

// addressLiteral returns an address as RFC 5321, Section 4.1.3 writes it.
func addressLiteral(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	switch {
	case !ok:
		return "localhost"
	case tcp.IP.To4() != nil:
		return "[" + tcp.IP.String() + "]"
	}
	return "[IPv6:" + tcp.IP.String() + "]"
}

// overTLS starts TLS, sends EHLO over it and delivers.
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

// overPlaintext delivers without TLS.
func (c *conversation) overPlaintext() error {
	if err := c.greet(); err != nil {
		return c.finish(err)
	}
	c.result.Plaintext = true
	return c.finish(c.deliver())
}

// greet reads the greeting and sends EHLO.
func (c *conversation) greet() (err error) {
	c.result.Stage = AtGreeting
	if c.result.Greeting, err = c.text.reply(""); err != nil {
		return err
	}
	c.identify()
	c.result.Stage = AtEHLO
	c.result.EHLO, err = c.text.command(c.text.hello)
	c.result.Recognised = probekey.Welcomed(c.result.EHLO)
	return err
}

// identify makes the client a probe if the greeting is that of a server that may have its key.
func (c *conversation) identify() {
	if c.target.Key.IsZero() || c.target.Deliver != nil || !c.target.Protocol.Mail() {
		return
	}
	greeting := c.result.Greeting
	if session, ok := probekey.Session(greeting[len(greeting)-1]); ok {
		c.text.language = c.target.Protocol.language(c.target.Key.EHLO(c.ID, session))
	}
}

// handshake does the TLS handshake. From then on c.text is over TLS.
//
// It does not mark the recorded handshake as complete: in TLS 1.3 the server may still reject
// the client's last flight, for example its certificate. Only a reply shows that it did not.
func (c *conversation) handshake() error {
	c.result.Stage = AtHandshake
	c.result.sessions.onTicket(c.ticketReceived)
	keys := new(keylog.Log)
	c.conn.UseKeys(keys)
	c.conn.Begin()
	client, err := c.newClient(keys)
	if err != nil {
		return err
	}
	if err := client.Handshake(); err != nil {
		c.notePlaintextReply(err)
		return err
	}
	c.client = client
	c.result.TLS = connectionState(client)
	var over io.ReadWriter = client
	if c.segments != nil {
		over = &ticketDataReader{client, c}
	}
	c.text = newTextConn(c.text.language, over)
	return nil
}

// ticketReceived closes the connection if the persona does not tolerate the ticket.
func (c *conversation) ticketReceived(size int) {
	if c.segments != nil {
		c.ticketWrite = c.segments.write
	}
	if c.onTicket == nil {
		return
	}
	if err := c.onTicket(size); err != nil {
		c.close(err)
	}
}

// close closes the connection without an alert, after a complete handshake.
func (c *conversation) close(why error) {
	c.closed = why
	c.conn.Complete()
	c.conn.Close()
}

// afterHandshake sends EHLO over TLS and delivers.
func (c *conversation) afterHandshake() (err error) {
	if c.target.Protocol.Implicit() {
		if c.result.Greeting, err = c.text.reply(""); err != nil {
			return err
		}
		c.identify()
	}
	c.result.SecureEHLO, err = c.ehloAfterHandshake()
	c.result.Recognised = c.result.Recognised || probekey.Welcomed(c.result.SecureEHLO)
	if len(c.result.SecureEHLO) > 0 {
		c.conn.Complete()
	}
	if err != nil {
		return err
	}
	if c.closed != nil { // the reply was already buffered, behind the ticket
		return c.closed
	}
	c.result.Completed = true
	return c.deliver()
}

// ehloAfterHandshake sends EHLO over TLS; if the persona delays it, after a time in which a
// ticket may arrive. If the client closes because of that ticket, the write fails.
func (c *conversation) ehloAfterHandshake() ([]string, error) {
	if !c.delaysEHLO {
		return c.text.command(c.text.hello)
	}
	received := c.text.waitForData(c.Delay)
	err := c.text.write(c.text.hello)
	<-received
	if err != nil {
		return nil, err
	}
	return c.text.reply(verb(c.text.hello))
}

func (c *conversation) deliver() (err error) {
	m := c.target.Deliver
	switch {
	case m == nil || !c.target.Protocol.Mail():
		return nil
	case m.FalseEnd != "":
		c.result.Replies, err = m.smuggle(c.text, c.target.EHLO)
		return err
	}
	err = m.send(c.text, c.target.EHLO)
	c.result.Delivered = err == nil
	return err
}

// finish quits, unless err shows that the server no longer listens.
func (c *conversation) finish(err error) error {
	var refused *refusal
	switch {
	case c.closed != nil: // without a word
	case err == nil, errors.As(err, &refused), errors.Is(err, ErrNoTLS):
		c.quit()
	default:
		c.conn.Fail(err)
	}
	return err
}

func (c *conversation) quit() {
	reply, err := c.text.command(c.text.quit)
	if c.injects && err == nil && c.result.Stage == AfterTLS {
		// The server sent one reply more than it got commands over TLS.
		c.result.Injected = c.text.late(reply) || c.text.in.Buffered() > 0
	}
	if c.client != nil {
		c.client.Close()
	}
}
