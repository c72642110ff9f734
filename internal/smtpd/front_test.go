package smtpd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/admission"
	"postern/internal/front"
	"postern/internal/proxyprotocol"
	"postern/internal/testsmtp"
)

const (
	header      = "PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\r\n"
	localHeader = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	oneMessage  = "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> x\n> .\n< 250 *\n> QUIT\n< 221 *"
)

// A fromConn is a pipe from an address.
type fromConn struct {
	net.Conn
	from string
}

func (c fromConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(c.from), 50_000))
}

func (c fromConn) CloseWrite() error { return nil }

// An accepted connection is all that a listener has.
type accepted struct {
	net.Listener
	conn net.Conn
}

func (a accepted) Accept() (net.Conn, error) { return a.conn, nil }

// connect connects to a listener that trusts the balancers at 10.0.0.0/8.
func (p *pipeServer) connect(t *testing.T, from string, implicit bool) *client {
	t.Helper()
	return p.connectTo(t, front.ProxyProtocol, from, implicit)
}

// connectTo connects to a listener that trusts the front-ends at 10.0.0.0/8.
func (p *pipeServer) connectTo(t *testing.T, protocol front.Protocol, from string, implicit bool) *client {
	t.Helper()
	ours, theirs := net.Pipe()
	trust := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	conn, err := front.NewListener(accepted{conn: fromConn{ours, from}}, protocol, trust).Accept()
	if err != nil {
		t.Fatal(err)
	}
	go p.start(conn, implicit) // a pipe has no room for the reply to one that is rejected
	return &client{testsmtp.New(theirs), t}
}

// ended returns the result of the next session that ends.
func (p *pipeServer) ended() SessionResult { return <-p.observer.(*testObserver).results }

// The client that the balancer names is the sender for everything: the next hop, the Received
// field, the result.
func TestTheClientBehindABalancerIsTheSender(t *testing.T) {
	for name, test := range map[string]struct{ header, sender, literal string }{
		"v1":   {header, "192.0.2.7:40000", "[192.0.2.7]"},
		"IPv6": {"PROXY TCP6 2001:db8::7 2001:db8::19 40000 25\r\n", "[2001:db8::7]:40000", "[IPv6:2001:db8::7]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeServer(t, Limits{})
				c := p.connect(t, "10.0.0.1", false)
				c.send(test.header)
				c.play(oneMessage)
				r := p.ended()
				if r.Sender.String() != test.sender || r.HealthCheck || r.Messages != 1 {
					t.Errorf("the result is %+v", r)
				}
				if got := p.hop.senders[0]; got.Addr.String() != test.sender || got.Local.Port() != 25 {
					t.Errorf("the hop got %+v", got)
				}
				if text := p.hop.taken()[0].text; !strings.Contains(text, "("+test.literal+")") {
					t.Errorf("the message is %q", text)
				}
			})
		})
	}
}

// Without a header from a trusted network nothing is served, and nothing is guessed.
func TestConnectionsWithoutAHeaderAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		from, send string
		after      time.Duration
		err        error
	}{
		"a sender":                {"192.0.2.9", "", 0, front.ErrUntrusted},
		"a sender that lies":      {"192.0.2.9", header, 0, front.ErrUntrusted},
		"a balancer without":      {"10.0.0.1", "EHLO sender.example\r\n", 0, proxyprotocol.ErrNoHeader},
		"a silent balancer":       {"10.0.0.1", "", 5 * time.Second, proxyprotocol.ErrNoHeader},
		"half a header":           {"10.0.0.1", header[:20], 5 * time.Second, proxyprotocol.ErrNoHeader},
		"a header with a mistake": {"10.0.0.1", strings.Replace(header, "25\r", "99999\r", 1), 0, proxyprotocol.ErrNoHeader},
		"a huge header":           {"10.0.0.1", strings.Replace(localHeader, "\x00\x00\x00", "\x00\xff\xff", 1), 0, proxyprotocol.ErrLong},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeServer(t, Limits{})
				began := time.Now()
				c := p.connect(t, test.from, false)
				go c.Conn.Write([]byte(test.send))
				c.play("< 421 4.3.2 connections to this port come through a load balancer\nCLOSED")
				r := p.ended()
				if took := r.Duration; took != test.after {
					t.Errorf("refused after %v, want %v", took, test.after)
				}
				if r.End != "no client behind a balancer" || !errors.Is(r.Err, test.err) || r.HealthCheck || !strings.HasPrefix(r.Sender.String(), test.from) {
					t.Errorf("after %v the result is %+v", time.Since(began), r)
				}
			})
		})
	}
}

// On any other port a header is a bad command, and the sender who it was.
func TestHeadersAreNotBelievedElsewhere(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play("< 220 *\n> PROXY TCP4 192.0.2.7 192.0.2.25 40000 25\n< 500 5.5.1 *\n> QUIT\n< 221 *")
	if r := s.result(); r.Sender.Addr().String() != "127.0.0.1" {
		t.Errorf("the sender is %v", r.Sender)
	}
}

// A balancer's health check gets its answers and is no sender, unless it brings a message.
func TestHealthChecksOfBalancers(t *testing.T) {
	for name, test := range map[string]struct {
		send, dialogue string
		check          bool
	}{
		"of the port":                  {"", "", true},
		"by SMTP":                      {localHeader, "< 220 *\n> EHLO a\n< 250 *\n> QUIT\n< 221 *", true},
		"of the port, by v1":           {"PROXY UNKNOWN\r\n", "< 220 *", true},
		"with a message is none":       {localHeader, oneMessage, false},
		"and a sender behind it isn't": {header, "< 220 *\n> QUIT\n< 221 *", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeServer(t, Limits{})
				c := p.connect(t, "10.0.0.1", false)
				c.send(test.send)
				c.play(test.dialogue)
				c.Conn.Close()
				if r := p.ended(); r.HealthCheck != test.check {
					t.Errorf("the result is %+v", r)
				}
			})
		})
	}
}

// The limits are those of the clients, not of the balancer: one that has used its share keeps no
// other from its own. Connections before their header count in the total.
func TestLimitsAreOfTheClientsBehindABalancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{Quotas: admission.Quotas{
			Total: admission.Quota{Connections: 4}, PerNetwork: admission.Quota{Connections: 1},
		}})
		from := func(addr, want string) *client {
			c := p.connect(t, "10.0.0.1", false)
			c.send(fmt.Sprintf("PROXY TCP4 %s 192.0.2.25 40000 25\r\n", addr))
			c.play(want)
			return c
		}
		first := from("192.0.2.7", "< 220 *")
		from("192.0.2.7", "< 421 4.7.0 *your address 192.0.2.7*\nCLOSED")
		other := from("198.51.100.7", "< 220 *")
		first.play("> QUIT\n< 221 *\nCLOSED")
		synctest.Wait()
		again := from("192.0.2.7", "< 220 *")
		p.connect(t, "10.0.0.1", false) // they have not sent a header yet
		p.connect(t, "10.0.0.1", false)
		synctest.Wait()
		p.connect(t, "10.0.0.1", false).play("< 421 4.3.2 *at its limit*\nCLOSED")
		synctest.Wait()
		for len(p.observer.(*testObserver).results) > 1 {
			p.ended()
		}
		if r := p.ended(); r.End != tooManyConnections || r.Limit == nil {
			t.Errorf("the result of one too many is %+v", r)
		}
		other.Conn.Close()
		again.Conn.Close()
		time.Sleep(5 * time.Second) // on the test's clock: the silent ones are refused, and closed
		synctest.Wait()
		from("192.0.2.7", "< 220 *").Conn.Close()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if open := p.State().Sessions; open != 0 {
			t.Errorf("%d sessions are left", open)
		}
	})
}

// TLS follows the header at once, and none of it is lost.
func TestImplicitTLSBehindABalancer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{})
		c := p.connect(t, "10.0.0.1", true)
		c.send(header)
		c.handshake(testsmtp.OpportunisticTLS())
		c.play(oneMessage)
		if r := p.ended(); r.Sender.String() != "192.0.2.7:40000" || r.TLS == nil || r.Messages != 1 {
			t.Errorf("the result is %+v", r)
		}
		p.connect(t, "192.0.2.9", true).play("CLOSED")
	})
}

// A shutdown does not wait for a header.
func TestShutdownBeforeTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{})
		c := p.connect(t, "10.0.0.1", false)
		synctest.Wait()
		began, done := time.Now(), make(chan time.Duration)
		go func() {
			if err := p.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			done <- time.Since(began)
		}()
		c.play("< 421 4.3.2 server shutting down, try again later\nCLOSED")
		if took := <-done; took != 0 {
			t.Errorf("it took %v", took)
		}
		if r := p.ended(); r.End != "drained" {
			t.Errorf("the result is %+v", r)
		}
	})
}
