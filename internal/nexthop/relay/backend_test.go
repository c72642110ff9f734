package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"postern/internal/nexthop"
	"postern/internal/smtp"
)

// A backend plays a server. Its connections follow scripts, one each, and later ones
// are served without faults. A script has a line for each step:
//
//	< 250 ok     send this line
//	<- 25        send this without CRLF; \r\n in it is one
//	> EHLO x     expect this line; * at its end matches anything
//	tls          do the TLS handshake
//	text         read a text up to its dot
//	some 1000    read so many bytes of a text
//	discard      read a text and forget it
//	rest         read until the client closes, and pass that to b.rest
//	wait 3s      let time pass; for synctest only
//	keep         count that text as accepted
//	close        close the connection
//	shut         close the sending side, and stop reading
//	hang         send nothing until the client closes
//	stall        not even read for an hour
//	serve        go on without faults
type backend struct {
	t       *testing.T
	scripts []string
	offers  []string // in replies to EHLO that no script has
	tls     *tls.Config
	wire    func(net.Conn) net.Conn // wraps the client's end
	rest    func(text string)

	mu     sync.Mutex
	opened int
	left   int      // client's ends over TCP that are not closed
	taken  []string // texts as received
	active sync.WaitGroup
}

func newBackend(t *testing.T, scripts ...string) *backend {
	return &backend{t: t, scripts: scripts, wire: func(c net.Conn) net.Conn { return c }}
}

// dial is the Config's Dial over an in-memory connection.
func (b *backend) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	b.start(server)
	return b.wire(client), nil
}

// dialTCP is the Config's Dial over loopback.
func (b *backend) dialTCP(ctx context.Context, _, _ string) (net.Conn, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	client, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return nil, err
	}
	server, err := listener.Accept()
	if err != nil {
		return nil, err
	}
	b.start(server)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left++
	return b.wire(&countedConn{TCPConn: client.(*net.TCPConn), backend: b}), nil
}

// A countedConn is the client's end of a connection over TCP.
type countedConn struct {
	*net.TCPConn
	backend *backend
	once    sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.backend.mu.Lock()
		defer c.backend.mu.Unlock()
		c.backend.left--
	})
	return c.TCPConn.Close()
}

func (b *backend) start(conn net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	script := "< 220 backend ready\nserve"
	if b.opened < len(b.scripts) {
		script = b.scripts[b.opened]
	}
	b.opened++
	p := &player{backend: b, conn: conn, in: bufio.NewReader(conn)}
	b.active.Go(func() {
		defer func() { p.conn.Close() }()
		p.play(script)
	})
}

// end ends a session and waits for its connections.
func (b *backend) end(s nexthop.Session) {
	s.Close()
	b.wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left > 0 {
		b.t.Errorf("%d connections are not closed", b.left)
	}
}

// wait returns when all connections are over.
func (b *backend) wait() { b.active.Wait() }

func (b *backend) keep(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = append(b.taken, text)
}

// A player serves one connection.
type player struct {
	backend    *backend
	conn       net.Conn
	in         *bufio.Reader
	text       string
	mail       bool
	recipients int
}

func (p *player) play(script string) {
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		verb, arg, _ := strings.Cut(line, " ")
		var err error
		switch verb {
		case "":
		case "<":
			err = p.send(arg + "\r\n")
		case "<-":
			err = p.send(strings.ReplaceAll(arg, `\r\n`, "\r\n"))
		case ">":
			err = p.expect(arg)
		case "tls":
			err = p.secure()
		case "text":
			err = p.readText()
		case "discard":
			err = p.discard()
		case "rest":
			rest, _ := io.ReadAll(p.in)
			p.backend.rest(string(rest))
			return
		case "shut":
			p.conn.(*net.TCPConn).CloseWrite()
			p.conn.(*net.TCPConn).CloseRead()
			return
		case "some":
			err = p.skip(arg)
		case "stall":
			time.Sleep(time.Hour)
			return
		case "wait":
			var d time.Duration
			if d, err = time.ParseDuration(arg); err == nil {
				time.Sleep(d)
			}
		case "keep":
			p.backend.keep(p.text)
		case "close":
			return
		case "hang":
			io.Copy(io.Discard, p.in)
			return
		case "serve":
			p.serve()
			return
		default:
			err = errors.New("unknown step")
		}
		if err != nil {
			p.backend.t.Errorf("backend: at %q: %v", line, err)
			return
		}
	}
}

func (p *player) send(text string) error {
	_, err := io.WriteString(p.conn, text)
	return err
}

func (p *player) readLine() (string, error) {
	line, err := p.in.ReadString('\n')
	return strings.TrimSuffix(line, "\r\n"), err
}

func (p *player) expect(want string) error {
	line, err := p.readLine()
	if err != nil {
		return err
	}
	prefix, any := strings.CutSuffix(want, "*")
	if line != want && (!any || !strings.HasPrefix(line, prefix)) {
		return errors.New("got " + line)
	}
	return nil
}

func (p *player) secure() error {
	over := tls.Server(p.conn, p.backend.tls)
	if err := over.Handshake(); err != nil {
		return nil // the client's side of the test reports it
	}
	p.conn = over
	p.in.Reset(over)
	return nil
}

func (p *player) readText() error {
	var text strings.Builder
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return err
		}
		if line == ".\r\n" {
			p.text = text.String()
			return nil
		}
		text.WriteString(line)
	}
}

func (p *player) discard() error {
	_, err := io.Copy(io.Discard, smtp.NewDotReader(p.in))
	return err
}

func (p *player) skip(count string) error {
	n, err := strconv.ParseInt(count, 10, 64)
	if err == nil {
		_, err = io.CopyN(io.Discard, p.in, n)
	}
	return err
}

// serve replies without faults until the connection ends.
func (p *player) serve() {
	for {
		line, err := p.readLine()
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(line, " ")
		for _, reply := range p.answer(verb) {
			if p.send(reply+"\r\n") != nil {
				return
			}
		}
	}
}

func (p *player) answer(verb string) []string {
	switch verb {
	case "HELO":
		return []string{"250 backend"}
	case "EHLO", "LHLO":
		return ehlo(p.backend.offers...)
	case "MAIL":
		p.mail, p.recipients = true, 0
		return []string{"250 2.1.0 sender ok"}
	case "RCPT":
		if !p.mail {
			return []string{"503 5.5.1 need MAIL"}
		}
		p.recipients++
		return []string{"250 2.1.5 recipient ok"}
	case "DATA":
		return p.takeText()
	case "RSET":
		p.mail = false
		return []string{"250 2.0.0 reset"}
	case "QUIT":
		return []string{"221 2.0.0 bye"}
	}
	return []string{"502 5.5.1 what?"}
}

func (p *player) takeText() []string {
	if p.send("354 go on\r\n") != nil || p.readText() != nil {
		return nil
	}
	p.mail = false
	p.backend.keep(p.text)
	return []string{"250 2.0.0 taken"}
}

// ehlo returns a reply that offers keywords.
func ehlo(keywords ...string) []string {
	lines := append([]string{"backend"}, keywords...)
	for i := range lines {
		separator := "-"
		if i == len(lines)-1 {
			separator = " "
		}
		lines[i] = "250" + separator + lines[i]
	}
	return lines
}
