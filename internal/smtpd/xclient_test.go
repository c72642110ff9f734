package smtpd

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/admission"
	"postern/internal/front"
)

const theMessage = "> MAIL FROM:<>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> x\n> .\n< 250 *\n> QUIT\n< 221 *"

// The client that XCLIENT names is the sender for everything, whatever else the front-end says of it.
func TestTheClientThatXCLIENTNamesIsTheSender(t *testing.T) {
	for name, test := range map[string]struct{ dialogue, sender, local, greeting, protocol string }{
		"as nginx does": {
			"> EHLO nginx.example\n< 250 *STARTTLS*XCLIENT NAME ADDR *\n> XCLIENT ADDR=192.0.2.7 NAME=[UNAVAILABLE]\n< 220 mx.example.org *\n> EHLO sender.example\n< 250 *greets ?192.0.2.7? *\n" + theMessage,
			"192.0.2.7:0", "pipe", "sender.example", "ESMTP",
		},
		"IPv6, with a port and the server's address": {
			"> XCLIENT ADDR=IPV6:2001:db8::7 PORT=40000 DESTADDR=IPV6:2001:db8::19 DESTPORT=25\n< 220 *\n> HELO a\n< 250 *\n" + theMessage,
			"[2001:db8::7]:40000", "[2001:db8::19]:25", "a", "SMTP",
		},
		"with the name, so EHLO is not needed": {
			"> XCLIENT ADDR=192.0.2.7 HELO=sender.example+20x PROTO=ESMTP\n< 220 *\n" + theMessage,
			"192.0.2.7:0", "pipe", "sender.example", "ESMTP",
		},
		"in several commands, at once": {
			"> XCLIENT PORT=40000\n> XCLIENT ADDR=192.0.2.7\n> XCLIENT HELO=a ADDR=192.0.2.7\n< 220 *\n< 220 *\n< 220 *\n> EHLO b\n< 250 *\n" + theMessage,
			"192.0.2.7:40000", "pipe", "b", "ESMTP",
		},
		"the port after the address": {
			"> XCLIENT ADDR=192.0.2.7\n< 220 *\n> XCLIENT PORT=40000\n< 220 *\n> EHLO b\n< 250 *\n" + theMessage,
			"192.0.2.7:40000", "pipe", "b", "ESMTP",
		},
		"without an address": {
			"> XCLIENT ADDR=[UNAVAILABLE]\n< 220 *\n> EHLO a\n< 250 *\n" + theMessage,
			"10.0.0.1:50000", "pipe", "a", "ESMTP",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeServer(t, Limits{})
				p.connectTo(t, front.XClient, "10.0.0.1", false).play("< 220 *\n" + test.dialogue)
				r := p.ended()
				if r.Sender.String() != test.sender || r.HealthCheck || r.Messages != 1 || r.EHLO != test.greeting {
					t.Errorf("the result is %+v", r)
				}
				if got := p.hop.senders[0]; got.Addr.String() != test.sender || got.Greeting != test.greeting || test.local != "pipe" && got.Local.String() != test.local {
					t.Errorf("the hop got %+v", got)
				}
				if text := p.hop.taken()[0].text; !strings.Contains(text, "Received: from "+test.greeting+" ([") || !strings.Contains(text, " with "+test.protocol+" id ") {
					t.Errorf("the message is %q", text)
				}
			})
		})
	}
}

// Without XCLIENT, or from elsewhere, no message is taken, and what is not valid changes nothing.
func TestMessagesWithoutXCLIENTAreRefused(t *testing.T) {
	const refused = "< 421 4.3.2 connections to this port come through a load balancer\nCLOSED"
	for name, test := range map[string]struct {
		from, dialogue string
		err            error
	}{
		"from elsewhere":          {"192.0.2.9", refused, front.ErrUntrusted},
		"from elsewhere, with it": {"192.0.2.9", "> XCLIENT ADDR=192.0.2.7\n" + refused, front.ErrUntrusted},
		"a front-end without":     {"10.0.0.1", "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n" + refused, errNoXClient},
		"without an address":      {"10.0.0.1", "< 220 *\n> XCLIENT HELO=a\n< 220 *\n> MAIL FROM:<>\n" + refused, errNoXClient},
		"with a bad one":          {"10.0.0.1", "< 220 *\n> XCLIENT ADDR=192.0.2\n< 501 5.5.4 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n" + refused, errNoXClient},
		"with one before TLS":     {"10.0.0.1", "< 220 *\n> STARTTLS\n< 220 *\nTLS\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n" + refused, errNoXClient},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeServer(t, Limits{})
				c := p.connectTo(t, front.XClient, test.from, false)
				if strings.HasPrefix(test.dialogue, "> ") { // it is not read
					said, rest, _ := strings.Cut(test.dialogue, "\n")
					go c.Conn.Write([]byte(said[2:] + "\r\n"))
					test.dialogue = rest
				}
				c.play(test.dialogue)
				if r := p.ended(); r.End != noClient || !errors.Is(r.Err, test.err) || r.HealthCheck || !strings.HasPrefix(r.Sender.String(), test.from) {
					t.Errorf("the result is %+v", r)
				}
				if len(p.hop.senders) > 0 {
					t.Errorf("the hop got %+v", p.hop.senders)
				}
			})
		})
	}
}

// At any other port XCLIENT is refused, whoever says it, and the sender is who connected.
func TestXCLIENTIsNotBelievedElsewhere(t *testing.T) {
	s := startServer(t, nil)
	s.dial(t).play("< 220 *\n> EHLO a\n< 250 *DSN\n> XCLIENT ADDR=192.0.2.7\n< 550 5.7.0 XCLIENT is for front-ends only\n> QUIT\n< 221 *")
	if r := s.result(); r.Sender.Addr().String() != "127.0.0.1" {
		t.Errorf("the sender is %v", r.Sender)
	}
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{})
		c := p.connect(t, "10.0.0.1", false)
		c.send(header)
		c.play("< 220 *\n> XCLIENT ADDR=198.51.100.7\n< 550 5.7.0 *\n> QUIT\n< 221 *")
		if r := p.ended(); r.Sender.String() != "192.0.2.7:40000" {
			t.Errorf("behind a balancer the sender is %v", r.Sender)
		}
	})
}

// A session is one client's, and its messages are.
func TestAClientIsNamedOnceAndBeforeItsMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{})
		c := p.connectTo(t, front.XClient, "10.0.0.1", false)
		c.play(`
			< 220 *
			> XCLIENT ADDR=192.0.2.7
			< 220 *
			> XCLIENT ADDR=192.0.2.8
			< 503 5.5.1 a session is one client's; reconnect for another
			> XCLIENT ADDR=[UNAVAILABLE]
			< 503 5.5.1 a session is one client's; reconnect for another
			> EHLO a
			< 250 mx.example.org greets ?192.0.2.7? | PIPELINING | SIZE 52428800 | ENHANCEDSTATUSCODES | CHUNKING
			> STARTTLS
			< 503 5.5.1 STARTTLS comes before XCLIENT
			> MAIL FROM:<>
			< 250 *
			> XCLIENT PORT=1
			< 503 5.5.1 XCLIENT comes before MAIL
			> RSET
			< 250 *
			> XCLIENT PORT=1
			< 503 5.5.1 *
			> QUIT
			< 221 *`)
		if r := p.ended(); r.Sender.String() != "192.0.2.7:0" {
			t.Errorf("the sender is %v", r.Sender)
		}
	})
}

// The handshake with a front-end is the front-end's, before XCLIENT and in the result.
func TestTheHandshakeIsTheFrontEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{Quotas: admission.Quotas{PerNetwork: admission.Quota{Starts: 0.1}}})
		for range 10 { // more than one sender may begin
			c := p.connectTo(t, front.XClient, "10.0.0.1", false)
			c.play("< 220 *\n> EHLO front.example\n< 250 *\n> STARTTLS\n< 220 *\nTLS\n> EHLO front.example\n< 250 *XCLIENT *\n> XCLIENT ADDR=192.0.2.7\n< 220 *\n> EHLO a\n< 250 *\n" + theMessage)
			r := p.ended()
			if r.Peer.String() != "10.0.0.1:50000" || r.Sender.String() != "192.0.2.7:0" || r.TLS == nil || r.Completed != nil {
				t.Fatalf("the result is %+v", r)
			}
			c.Conn.Close()
		}
		if text := p.hop.taken()[0].text; !strings.Contains(text, " with ESMTPS id ") {
			t.Errorf("the message is %q", text)
		}
	})
}

// A front-end that looks whether Postern answers is no sender. One whose handshake fails is to be
// seen: its mail waits.
func TestHealthChecksOfFrontEnds(t *testing.T) {
	for name, test := range map[string]struct {
		dialogue string
		check    bool
	}{
		"of the port":          {"< 220 *", true},
		"by SMTP":              {"< 220 *\n> EHLO a\n< 250 *\n> QUIT\n< 221 *", true},
		"without a client":     {"< 220 *\n> XCLIENT ADDR=[UNAVAILABLE]\n< 220 *\n> QUIT\n< 221 *", true},
		"a client is none":     {"< 220 *\n> XCLIENT ADDR=192.0.2.7\n< 220 *\n> QUIT\n< 221 *", false},
		"nor a lost handshake": {"< 220 *\n> STARTTLS\n< 220 *\n> this is no TLS", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeServer(t, Limits{})
				c := p.connectTo(t, front.XClient, "10.0.0.1", false)
				c.play(test.dialogue)
				c.Conn.Close()
				if r := p.ended(); r.HealthCheck != test.check {
					t.Errorf("the result is %+v", r)
				}
			})
		})
	}
}

// The limits are those of the clients, not of the front-end.
func TestLimitsAreOfTheClientsThatXCLIENTNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{Quotas: admission.Quotas{
			Total: admission.Quota{Connections: 4}, PerNetwork: admission.Quota{Connections: 1},
		}})
		from := func(addr, want string) *client {
			c := p.connectTo(t, front.XClient, "10.0.0.1", false)
			c.play("< 220 *\n> XCLIENT HELO=a\n< 220 *\n> XCLIENT ADDR=" + addr + "\n" + want)
			return c
		}
		first := from("192.0.2.7", "< 220 *")
		from("192.0.2.7", "< 421 4.7.0 *your address 192.0.2.7*\nCLOSED").Conn.Close()
		if r := p.ended(); r.Limit == nil || r.End != tooManyConnections || r.Sender.String() != "192.0.2.7:0" {
			t.Errorf("the result is %+v", r)
		}
		if refused := p.observer.(*testObserver).refused; len(refused) != 1 || refused[0].Command != "CONNECT" {
			t.Errorf("refused %+v", refused)
		}
		other := from("198.51.100.7", "< 220 *")
		first.play("> QUIT\n< 221 *\nCLOSED")
		synctest.Wait()
		again := from("192.0.2.7", "< 220 *")
		again.Conn.Close()
		other.Conn.Close()
		synctest.Wait()
		time.Sleep(time.Second)
		if open := p.State().Sessions; open != 0 {
			t.Errorf("%d sessions are left", open)
		}
	})
}
