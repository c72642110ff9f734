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

// A breach is a way to make a handshake fail, and what the server said in clear then.
type breach struct {
	how   string // what broke it
	bytes string // records in clear (RFC 8446, Section 5.1)
	late  bool   // behind the server's first flight; else in place of the ClientHello

	said  string // in clear, unasked
	reply string // to a harmless command in clear
	heard bool   // the handshake did break: what is empty above was not said
}

// breaches are the ways that are tried: what a sender does that refuses a certificate,
// and what one does that is no TLS client.
func breaches() []*breach {
	return []*breach{
		{how: "an alert behind the server's first flight", bytes: "\x15\x03\x03\x00\x02\x02\x2a", late: true},
		{how: "a record that is no ClientHello", bytes: "\x16\x03\x01\x00\x04\x63\x00\x00\x00"},
	}
}

const (
	// unasked is how long a server may take to say something of its own accord; it
	// is about to read, so that what is sent to it sooner may be taken for TLS.
	unasked = 200 * time.Millisecond

	// replying is how long a server may take to answer a command in clear.
	replying = time.Second
)

// harmless are commands that change nothing, and how the reply of a server begins
// that obeys them.
var harmless = map[persona.Protocol]struct{ command, obeyed string }{
	persona.SMTP: {"NOOP", "250"},
	persona.IMAP: {"p9 NOOP", "p9 OK"},
	persona.POP3: {"CAPA", "+OK"},
}

// try lets the healthy client begin a handshake and breaks it.
func (b *breach) try(ctx context.Context, client *persona.Persona, target persona.Target) {
	command := harmless[target.Protocol].command
	target.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &breaking{Conn: conn, ctx: ctx, breach: b, command: command}, nil
	}
	client.Run(ctx, target)
}

// breaking is a client's conn that breaks the handshake above it, listens, and lets the
// client see the end.
type breaking struct {
	net.Conn
	*breach
	ctx     context.Context
	command string
	hello   bool // the ClientHello has come
}

// Write looks for the ClientHello, as slow does.
func (c *breaking) Write(b []byte) (int, error) {
	if c.hello || len(b) < 3 || b[0] != 22 || b[1] != 3 {
		return c.Conn.Write(b)
	}
	c.hello = true
	if c.late {
		return c.Conn.Write(b)
	}
	c.listen()
	return len(b), nil
}

func (c *breaking) Read(b []byte) (int, error) {
	if !c.hello {
		return c.Conn.Read(b)
	}
	if !c.heard {
		c.listen()
	}
	return 0, io.EOF
}

// listen breaks the handshake and takes down what the server says, to nothing and to a
// harmless command.
func (c *breaking) listen() {
	in := bufio.NewReaderSize(c.Conn, maxClear)
	if c.late {
		if _, err := in.Peek(1); err != nil {
			return
		}
	}
	if _, err := io.WriteString(c.Conn, c.bytes); err != nil {
		return
	}
	c.heard = true
	var err error
	if c.said, err = c.line(in, unasked); err != nil && !errors.Is(err, errQuiet) {
		return
	}
	if c.said != "" {
		_, _ = in.Discard(in.Buffered()) // the rest of what it says unasked
	}
	if _, err := io.WriteString(c.Conn, c.command+"\r\n"); err == nil {
		c.reply, _ = c.line(in, replying)
	}
}

// maxClear bounds a line in clear and the records before it, in bytes each.
const maxClear = 16 << 10

// line returns the first line in clear, or [errQuiet]. Records before it are of the
// handshake.
func (c *breaking) line(in *bufio.Reader, patience time.Duration) (string, error) {
	until := time.Now().Add(patience)
	if end, ok := c.ctx.Deadline(); ok && end.Before(until) {
		until = end
	}
	if err := c.Conn.SetReadDeadline(until); err != nil {
		return "", err
	}
	for range maxRecords {
		head, err := in.Peek(1)
		if os.IsTimeout(err) {
			return "", errQuiet
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
	return "", errors.New("records without end")
}

// errQuiet says that the server has said nothing in its time, nor begun to.
var errQuiet = errors.New("nothing was said")

// maxRecords bounds the records before a line in clear: a first flight has about ten.
const maxRecords = 64

// inClear tells what the server does when a handshake has failed. Whoever hears it then
// may not be the sender, and what it hears may not be commands, so that TLS wants the
// connection closed.
func inClear(e *exam) []Finding {
	var spoken, obeyed []string
	heard := false
	for _, b := range e.breaches {
		heard = heard || b.heard
		switch {
		case b.reply != "" && strings.HasPrefix(b.reply, harmless[e.target.Protocol].obeyed):
			obeyed = append(obeyed, "after "+b.how+", "+harmless[e.target.Protocol].command+" was answered in clear: "+quoted(strings.TrimSpace(b.reply)))
		case b.said+b.reply != "":
			spoken = append(spoken, "after "+b.how+" it said in clear: "+quoted(strings.TrimSpace(b.said+b.reply)))
		}
	}
	f := Finding{ID: "clear-after-failure", Evidence: append(obeyed, spoken...), Sources: clearSources}
	switch {
	case !heard:
		return nil
	case obeyed != nil:
		f.Severity, f.Title, f.Advice = Warning, "The server goes on in clear after a failed handshake", e.software.pick(clearAdvice)
	case spoken != nil:
		f.Severity, f.Title, f.Advice = Notice, "The server speaks in clear after a failed handshake, but obeys no command", e.software.pick(clearAdvice)
	default:
		return []Finding{fine(f.ID, "After a failed handshake nothing is said in clear")}
	}
	return []Finding{f}
}

var clearSources = []string{
	"https://www.rfc-editor.org/rfc/rfc8446#section-6.2",                         // after a fatal alert both sides close
	"https://www.rfc-editor.org/rfc/rfc3207#section-6",                           // what was learned before TLS is to be forgotten
	"https://www.usenix.org/conference/usenixsecurity21/presentation/poddebniak", // STARTTLS and what is said around it
}

var clearAdvice = []interop.Advice{
	{Software: "Exim", Action: "Nothing has to be done: Exim answers all commands but QUIT with 554 Security failure then."},
	{Software: "maddy", Action: "maddy has no setting for it. Put Postern in front, which closes the connection."},
	{Software: "chasquid", Action: "chasquid has no setting for it. Put Postern in front, which closes the connection."},
	{Software: "Go programs", Action: "Close the connection when Handshake of the tls.Conn returns an error. go-smtp goes on and has no setting for it: put Postern in front, which closes."},
	{Software: everySoftware, Action: "Look for a newer version that closes the connection when TLS fails, or put Postern in front, which does."},
}
