package smtpd

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/front"
	"postern/internal/testsmtp"
)

func TestShutdownLetsMessagesFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{})
		idle, busy := p.dial(t), p.dial(t)
		idle.play("< 220 *\n> EHLO a\n< 250 *")
		busy.play(envelope + "> DATA\n< 354 *\n> begun")
		began, done := time.Now(), make(chan error)
		go func() { done <- p.Shutdown(t.Context()) }()
		idle.play("< 421 4.3.2 *\nCLOSED")
		busy.play("> and finished\n> .\n< 250 2.0.0 stored\n< 421 4.3.2 *\nCLOSED")
		if err := <-done; err != nil || time.Since(began) != 0 {
			t.Errorf("%v, after %v", err, time.Since(began))
		}
	})
}

// A sender that has begun a handshake can complete it, and then reads why the session ends.
func TestShutdownLetsHandshakesFinish(t *testing.T) {
	const shut = "< 421 4.3.2 server shutting down, try again later\nCLOSED"
	for name, test := range map[string]struct {
		connect func(*testing.T, *pipeServer) *client
		after   string
	}{
		"STARTTLS": {func(t *testing.T, p *pipeServer) *client {
			c := p.dial(t)
			c.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *")
			return c
		}, shut},
		"implicit TLS": {func(t *testing.T, p *pipeServer) *client {
			ours, theirs := net.Pipe()
			p.start(ours, true)
			return &client{testsmtp.New(theirs), t}
		}, "< 220 *\n" + shut},
		"behind a balancer": {func(t *testing.T, p *pipeServer) *client {
			c := p.connect(t, "10.0.0.1", true)
			c.send(header)
			return c
		}, "< 220 *\n" + shut},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeServer(t, Limits{})
				c := test.connect(t, p)
				synctest.Wait()
				p.drain()
				c.handshake(testsmtp.OpportunisticTLS())
				c.play(test.after)
				if r := p.ended(); r.End != "drained" || r.TLS == nil || r.Duration != 0 {
					t.Errorf("the result is %+v", r)
				}
			})
		})
	}
}

// A connection that was accepted before the listener was closed, or whose session had not begun to
// wait, gets the reply all the same.
func TestShutdownTurnsAwayWhoHasJustConnected(t *testing.T) {
	const shut = "< 421 4.3.2 server shutting down, try again later\nCLOSED"
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{})
		p.drain()
		ours, theirs := net.Pipe()
		go p.start(ours, false)
		(&client{testsmtp.New(theirs), t}).play(shut)

		ours, theirs = net.Pipe()
		session := newSession(p.Server, &front.Conn{Conn: ours, Protocol: front.ProxyProtocol, Trusted: true})
		session.drain()
		began := time.Now()
		go session.meet(false)
		(&client{testsmtp.New(theirs), t}).play(strings.TrimSuffix(shut, "\nCLOSED"))
		if took := time.Since(began); took != 0 {
			t.Errorf("it waited %v for a header", took)
		}
		theirs.Close()

		ours, _ = net.Pipe()
		session = newSession(p.Server, ours)
		session.idle.Store(true) // as it begins to linger
		session.drain()
		began = time.Now()
		if _, ended := session.skip(began.Add(time.Minute), 1); !ended || time.Since(began) != 0 {
			t.Errorf("it lingered for %v", time.Since(began))
		}
	})
}

func TestShutdownDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{})
		c := p.dial(t)
		c.play(envelope + "> DATA\n< 354 *\n> begun")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		began := time.Now()
		if err := p.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Error(err)
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("after %v", took)
		}
		c.play("CLOSED")
		synctest.Wait()
		if len(p.hop.taken()) > 0 {
			t.Error("half a message was accepted")
		}
	})
}
