package relay

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"
)

// A backend plays a server. Its connections follow scripts, one each; those
// beyond are served as a good server does. A script has a line for each step:
//
//	< 250 ok     say this line
//	<- 25        say this without a line's end, \r\n being one
//	> EHLO x     hear this line; a * at its end stands for anything
//	tls          take the TLS handshake
//	text         read a text up to its dot
//	some 1000    read so many bytes of a text
//	discard      read a text and forget it
//	rest         read until the client closes, and hand that to b.rest
//	keep         count that text as taken
//	close        close the connection
//	shut         close it as far as we write, and stop reading
//	hang         say nothing any more, until the client closes
//	stall        not even read for an hour
//	serve        go on as a good server does
type backend struct {
	t       *testing.T
	scripts []string
	offers  []string // of the good server, in its reply to EHLO
	tls     *tls.Config
	wire    func(net.Conn) net.Conn // wraps the client's end
	rest    func(text string)

	mu     sync.Mutex
	opened int
	taken  []string // texts, as they came
	active sync.WaitGroup
}

func newBackend(t *testing.T, scripts ...string) *backend {
	return &backend{t: t, scripts: scripts, wire: func(c net.Conn) net.Conn { return c }}
}

// dial is the Config's Dial over an in-memory connection.
func (b *backend) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	b.start(server)
	return client, nil
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
	return b.wire(client), nil
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

// wait returns when all connections are over.
func (b *backend) wait() { b.active.Wait() }

func (b *backend) keep(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = append(b.taken, text)
}
