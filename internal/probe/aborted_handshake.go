package probe

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"postern/internal/persona"
	"postern/internal/tlsrecord"
	"postern/interop"
)

// An abortedHandshake is a way to abort a handshake, and what the server sent in plaintext
// then.
type abortedHandshake struct {
	how    string // what aborts it
	record string // sent in plaintext (RFC 8446, Section 5.1)
	late   bool   // after the server's first flight; else in place of the ClientHello

	sent  bool   // the record was: what is empty below was not received
	text  string // received in plaintext before the command
	reply string // received in plaintext to the command
}

// abortedHandshakes are an abort as by a sender that rejects the certificate, and one by a
// client that does not speak TLS.
func abortedHandshakes() []*abortedHandshake {
	return []*abortedHandshake{
		{how: "an alert after the server's first flight", record: "\x15\x03\x03\x00\x02\x02\x2a", late: true},
		{how: "a record that is not a ClientHello", record: "\x16\x03\x01\x00\x04\x63\x00\x00\x00"},
	}
}

const (
	// textTimeout is how long the server may take to send something before the command. A
	// command that is sent sooner may still be read as TLS.
	textTimeout = 200 * time.Millisecond

	// replyTimeout is how long the server may take to reply to the command.
	replyTimeout = 2 * time.Second

	// maxPlaintext bounds a plaintext line, and a record before it, in bytes.
	maxPlaintext = 16 << 10

	// maxRecords bounds the records before a plaintext line. A first flight has about ten.
	maxRecords = 64
)

// noop are commands that change nothing, and the beginning of the reply of a server that
// executes them.
var noop = map[persona.Protocol]struct{ command, executed string }{
	persona.SMTP: {"NOOP", "250"},
	persona.IMAP: {"p9 NOOP", "p9 OK"},
	persona.POP3: {"CAPA", "+OK"},
}

// run starts a handshake with the healthy client and aborts it.
func (a *abortedHandshake) run(ctx context.Context, client *persona.Persona, target persona.Target) {
	protocol := target.Protocol
	target.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &abortingConn{Conn: conn, ctx: ctx, abortedHandshake: a, protocol: protocol}, nil
	}
	client.Run(ctx, target)
}

// forget makes the handshake as if it was never aborted.
func (a *abortedHandshake) forget() { a.sent, a.text, a.reply = false, "", "" }

// abortingConn is a client's conn that aborts the handshake above it, receives what the server
// sends then, and lets the client see the end of the connection.
type abortingConn struct {
	net.Conn
	*abortedHandshake
	ctx       context.Context
	protocol  persona.Protocol
	helloSent bool
}

func (c *abortingConn) Write(b []byte) (int, error) {
	if c.helloSent || !tlsrecord.BeginsHandshake(b) {
		return c.Conn.Write(b)
	}
	c.helloSent = true
	if c.late {
		return c.Conn.Write(b)
	}
	c.abort()
	return len(b), nil
}

func (c *abortingConn) Read(b []byte) (int, error) {
	if !c.helloSent {
		return c.Conn.Read(b)
	}
	if !c.sent {
		c.abort()
	}
	return 0, io.EOF
}

// abort aborts the handshake and receives what the server sends in plaintext, before and
// after a command.
func (c *abortingConn) abort() {
	in := bufio.NewReaderSize(c.Conn, maxPlaintext)
	if c.late {
		if _, err := in.Peek(1); err != nil {
			return
		}
	}
	if _, err := io.WriteString(c.Conn, c.record); err != nil {
		return
	}
	c.sent = true
	var err error
	if c.text, err = c.readLine(in, textTimeout); err != nil && !errors.Is(err, errSilent) {
		return
	}
	if c.text != "" {
		_, _ = in.Discard(in.Buffered()) // the rest of what it sends before the command
	}
	say := noop[c.protocol]
	if _, err := io.WriteString(c.Conn, say.command+"\r\n"); err != nil {
		return
	}
	c.reply, _ = c.readLine(in, replyTimeout)
	if c.text == "" && c.reply != "" && !strings.HasPrefix(c.reply, say.executed) {
		// Of a slow server this may be what it sends before the command.
		if next, _ := c.readLine(in, replyTimeout); next != "" {
			c.text, c.reply = c.reply, next
		}
	}
}

// errSilent is returned by readLine if the server sends nothing in time.
var errSilent = errors.New("nothing received")

// readLine returns the first plaintext line, or [errSilent]. Records before it belong to the
// handshake.
func (c *abortingConn) readLine(in *bufio.Reader, timeout time.Duration) (string, error) {
	deadline := time.Now().Add(timeout)
	if end, ok := c.ctx.Deadline(); ok && end.Before(deadline) {
		deadline = end
	}
	if err := c.Conn.SetReadDeadline(deadline); err != nil {
		return "", err
	}
	for range maxRecords {
		head, err := in.Peek(1)
		if os.IsTimeout(err) {
			return "", errSilent
		}
		if err != nil {
			return "", err
		}
		if !tlsrecord.IsType(head[0]) {
			line, err := in.ReadSlice('\n')
			return string(line), err
		}
		if head, err = in.Peek(tlsrecord.HeaderLen); err != nil {
			return "", err
		}
		if _, err := in.Discard(tlsrecord.HeaderLen + tlsrecord.Length(head)); err != nil {
			return "", err
		}
	}
	return "", errors.New("too many records")
}

// checkAborted reports what the server does in plaintext after a failed handshake. TLS
// requires it to close the connection: the peer may not be the sender any more, and what it
// sends may not be commands.
func checkAborted(p *addressProbe) []Finding {
	var sends, executes []string
	sent := false
	for _, a := range p.aborted {
		sent = sent || a.sent
		switch {
		case a.reply != "" && strings.HasPrefix(a.reply, noop[p.target.Protocol].executed):
			executes = append(executes, "after "+a.how+", "+noop[p.target.Protocol].command+" was answered in plaintext: "+quoted(strings.TrimSpace(a.reply)))
		case a.text+a.reply != "":
			sends = append(sends, "after "+a.how+", the server sent in plaintext: "+quoted(strings.TrimSpace(a.text+a.reply)))
		}
	}
	f := Finding{ID: "plaintext-after-failure", Evidence: append(executes, sends...), Sources: abortedSources}
	switch {
	case !sent:
		return nil
	case executes != nil:
		f.Severity, f.Title, f.Advice = Warning, "The server continues in plaintext after a failed handshake", p.software.pick(abortedAdvice)
	case sends != nil:
		f.Severity, f.Title, f.Advice = Notice, "The server sends plaintext after a failed handshake, but executes no command", p.software.pick(abortedAdvice)
	default:
		return []Finding{okFinding(f.ID, "The server sends no plaintext after a failed handshake")}
	}
	return []Finding{f}
}

var abortedSources = []string{
	"https://www.rfc-editor.org/rfc/rfc8446#section-6.2",                         // after a fatal alert both sides close
	"https://www.rfc-editor.org/rfc/rfc3207#section-6",                           // what was learned before TLS is discarded
	"https://www.usenix.org/conference/usenixsecurity21/presentation/poddebniak", // STARTTLS and plaintext around it
}

var abortedAdvice = []interop.Advice{
	{Software: "Exim", Action: "Nothing to do: Exim then answers every command except QUIT with 554 Security failure."},
	{Software: "maddy", Action: "maddy has no setting for it. Put Postern in front, which closes the connection."},
	{Software: "chasquid", Action: "chasquid has no setting for it. Put Postern in front, which closes the connection."},
	{Software: "Go programs", Action: "Close the connection when Handshake of the tls.Conn returns an error. go-smtp does not, and has no setting for it: put Postern in front, which does."},
	{Software: allSoftware, Action: "Install a version that closes the connection when TLS fails, or put Postern in front, which does."},
}
