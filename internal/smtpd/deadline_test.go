package smtpd

import (
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postern/internal/admission"
	"postern/internal/testcert"
	"postern/internal/testsmtp"
)

// pipeServer runs sessions over in-memory connections, for tests in a synctest bubble.
type pipeServer struct {
	*Server
	hop *memoryHop
}

func newPipeServer(t *testing.T, limits Limits) *pipeServer {
	cert := testcert.New(t, testcert.Options{})
	settings := Settings{
		Hostname: "mx.example.org",
		Domains:  []string{"example.org"},
		TLS:      &tls.Config{Certificates: []tls.Certificate{cert.TLS}},
		Limits:   limits,
	}
	p := &pipeServer{hop: &memoryHop{}}
	p.Server = New(settings, p.hop, newTestObserver(), slog.New(slog.DiscardHandler))
	return p
}

func (p *pipeServer) dial(t *testing.T) *client {
	ours, theirs := net.Pipe()
	p.start(ours, false)
	return &client{testsmtp.New(theirs), t}
}

const envelope = "< 220 *\n> EHLO a\n< 250 *\n> MAIL FROM:<>\n< 250 *\n> RCPT TO:<b@example.org>\n< 250 *\n"

func TestAnIdleSessionTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{CommandTimeout: time.Minute})
		began := time.Now()
		p.dial(t).play("< 220 *\n< 421 4.4.2 timeout waiting for command\nCLOSED")
		if r, took := p.ended(), time.Since(began); took != time.Minute || r.End != "timeout" {
			t.Errorf("after %v the result is %+v", took, r)
		}
	})
}

// A sender that reads no reply is disconnected. One that leaves after QUIT without reading has quit.
func TestReplyThatIsNotReadEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{WriteTimeout: time.Minute})
		ended := p.observer.(*testObserver).results
		began := time.Now()
		p.dial(t)
		if r := <-ended; r.End != "connection lost" || r.Err == nil || time.Since(began) != time.Minute {
			t.Errorf("reads nothing: %q, %v, after %v", r.End, r.Err, time.Since(began))
		}
		c := p.dial(t)
		c.play("< 220 *\n> QUIT")
		c.Conn.Close()
		if r := <-ended; r.End != "quit" || r.Err != nil {
			t.Errorf("leaves after QUIT: %q, %v", r.End, r.Err)
		}
		c = p.dial(t)
		c.play(envelope + "> DATA")
		if r := <-ended; r.End != "connection lost" {
			t.Errorf("does not read that it may send its message: %q, %v", r.End, r.Err)
		}
	})
}

func TestBytesOfACommandDoNotExtendItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{CommandTimeout: time.Minute})
		c := p.dial(t)
		c.play("< 220 *")
		began := time.Now()
		defer trickle(c, "N", 10*time.Second)()
		c.play("< 421 4.4.2 *\nCLOSED")
		if took := time.Since(began); took != time.Minute {
			t.Errorf("after %v", took)
		}
	})
}

func TestATricklingMessageTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{TextTimeout: time.Minute})
		c := p.dial(t)
		c.play(envelope + "> DATA\n< 354 *")
		began := time.Now()
		defer trickle(c, "slow\r\n", time.Second)()
		c.play("< 421 4.4.2 timeout receiving message\nCLOSED")
		if took := time.Since(began); took != time.Minute {
			t.Errorf("after %v", took)
		}
		if r := p.ended(); len(p.hop.taken()) > 0 || r.End != "timeout in message" || r.Deferred > 0 {
			t.Errorf("the hop got %+v, the result is %+v", p.hop.taken(), r)
		}
	})
}

func TestProgressExtendsTheDeadlineOfAMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{TextTimeout: time.Minute})
		c := p.dial(t)
		c.play(envelope + "> DATA\n< 354 *")
		for range 60 {
			time.Sleep(50 * time.Second)
			c.send(strings.Repeat(strings.Repeat("x", 98)+"\r\n", 328)) // 32 KiB and 32 bytes
		}
		c.play("> .\n< 250 2.0.0 stored\n> QUIT\n< 221 *")
		c.Conn.Close()
	})
}

// deadlines notes when reads, and what TLS writes meanwhile, may end at the latest.
type deadlines struct {
	net.Conn
	set []time.Time
}

func (d *deadlines) SetDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

func (d *deadlines) Read(b []byte) (int, error) { return len(b), nil }

// Each 32 KiB extend the deadline of a message, and less does not. What was got before a command
// between chunks counts on after it.
func TestWhatExtendsADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		below := new(deadlines)
		c := deadlineConn{conn: below, until: began.Add(time.Hour)}
		var want []time.Time
		read := func(n int) {
			time.Sleep(time.Second)
			c.Read(make([]byte, n))
		}
		within := func(d time.Duration) { want = append(want, time.Now().Add(d)) }

		c.start(time.Minute)
		within(time.Minute)
		for range 2 {
			read(32<<10 - 1)
			read(1)
			within(time.Minute)
		}
		read(32<<10 - 1)
		resume := c.pause()
		c.start(5 * time.Minute)
		within(5 * time.Minute)
		resume()
		within(59 * time.Second)
		read(1)
		within(time.Minute)
		time.Sleep(59 * time.Minute)
		c.start(time.Hour)
		want = append(want, began.Add(time.Hour)) // of the session
		if !slices.Equal(below.set, want) {
			t.Errorf("the deadlines are\n%v, want\n%v", below.set, want)
		}
	})
}

// A sender in a message has a connection to the next hop. It may be silent for the time of
// one command in all, whatever it sends meanwhile.
func TestATransactionThatDoesNothingTimesOut(t *testing.T) {
	for name, step := range map[string]string{
		"NOOP":               "> NOOP\n< 250 *",
		"another recipient":  "> RCPT TO:<b@example.org>\n< 250 *",
		"a refused one":      "> RCPT TO:<b@example.com>\n< 550 *",
		"a chunk of a byte":  "> BDAT 1\n> x\\-\n< 250 *",
		"a chunk of nothing": "> BDAT 0\n< 250 *",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPipeServer(t, Limits{CommandTimeout: 5 * time.Minute})
				c := p.dial(t)
				c.play(envelope)
				began := time.Now()
				for range 4 {
					time.Sleep(time.Minute)
					c.play(step)
				}
				c.play("< 421 4.4.2 timeout waiting for command\nCLOSED")
				if took := time.Since(began); took != 5*time.Minute {
					t.Errorf("after %v", took)
				}
			})
		})
	}
}

// The next message has a time of its own.
func TestEachTransactionHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newPipeServer(t, Limits{CommandTimeout: 5 * time.Minute}).dial(t)
		defer c.Close()
		c.play("< 220 *\n> EHLO a\n< 250 *")
		for range 3 {
			c.play("> MAIL FROM:<>\n< 250 *")
			time.Sleep(4 * time.Minute)
			c.play("> RCPT TO:<b@example.org>\n< 250 *\n> DATA\n< 354 *\n> x\n> .\n< 250 *")
		}
		c.play("> QUIT\n< 221 *")
	})
}

// Small chunks do not extend the deadline of a message's text.
func TestChunksThatTrickleTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{TextTimeout: time.Minute})
		c := p.dial(t)
		c.play(envelope)
		began := time.Now()
		for range 5 {
			c.send("BDAT 1\r\n")
			time.Sleep(10 * time.Second)
			c.play("> x\\-\n< 250 *")
		}
		c.send("BDAT 1\r\n")
		c.play("< 421 4.4.2 timeout receiving message\nCLOSED")
		if took := time.Since(began); took != time.Minute {
			t.Errorf("after %v", took)
		}
	})
}

// A chunk at the wrong time is read and discarded within the time of a text, not of a command.
func TestARefusedChunkThatTricklesTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{TextTimeout: time.Minute, CommandTimeout: 10 * time.Minute})
		c := p.dial(t)
		c.play("< 220 *\n> EHLO a\n< 250 *\n> BDAT 1000000 LAST")
		began := time.Now()
		defer trickle(c, "x", 10*time.Second)()
		c.reply()
		if took := time.Since(began).Round(time.Second); took != time.Minute {
			t.Errorf("after %v, want a minute", took)
		}
	})
}

func TestASessionTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{CommandTimeout: 5 * time.Minute, SessionTime: 10 * time.Minute})
		c := p.dial(t)
		began := time.Now()
		c.play("< 220 *")
		for range 3 {
			time.Sleep(3 * time.Minute)
			c.play("> NOOP\n< 250 *")
		}
		c.play("< 421 4.4.2 *\nCLOSED")
		if took := time.Since(began); took != 10*time.Minute {
			t.Errorf("after %v", took)
		}
	})
}

func TestAHandshakeTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipeServer(t, Limits{HandshakeTimeout: time.Minute})
		c := p.dial(t)
		began := time.Now()
		c.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *\nCLOSED")
		if took := time.Since(began); took != time.Minute {
			t.Errorf("after %v", took)
		}
	})
}

func TestRejectedSendersGetTheReason(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) {
		set.Limits.PerNetwork = admission.Quota{Connections: 8, Starts: 0.4}
	})
	first := s.dial(t)
	first.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *\nTLS\n> EHLO a\n< 250 *")
	second := s.dial(t)
	second.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 421 4.7.0 *too many TLS handshakes from your address 127.0.0.1,*\nCLOSED")
	s.result()
	third := s.dial(t)
	third.play("< 220 *")
	s.dial(t).play("< 421 4.7.0 *too many connections from your address 127.0.0.1,*\nCLOSED")
	first.play("> QUIT\n< 221 *\nCLOSED")
	s.result()
	s.result()
	s.dial(t).play("< 220 *")
}

// When all senders together are at the limit, no one of them is blamed.
func TestATotalLimitBlamesNoSender(t *testing.T) {
	s := startServer(t, func(set *Settings, _ *memoryHop) {
		set.Limits.Total = admission.Quota{Connections: 2, Starts: 0.1, Bytes: 0.001}
		set.Limits.PerNetwork = admission.Quota{Connections: 100, Starts: 100, Bytes: 100}
	})
	first := s.dial(t)
	first.play("< 220 *\n> EHLO a\n< 250 *\n> STARTTLS\n< 220 *\nTLS\n> EHLO a\n< 250 *")
	second := s.dial(t)
	second.play("< 220 *\n> EHLO a\n< 250 *")
	s.dial(t).play("< 421 4.3.2 * server at its limit, too many connections, try again later*\nCLOSED")
	if r := s.result(); r.Limit.String() != "total" || r.End != "too many connections" {
		t.Errorf("the session's result is %+v", r)
	}
	second.play("> STARTTLS\n< 421 4.3.2 * server at its limit, too many TLS handshakes, *\nCLOSED")
	if r := s.result(); r.Limit.String() != "total" {
		t.Errorf("the session's result is %+v", r)
	}
	first.play("> MAIL FROM:<a@sender.example>\n> RCPT TO:<b@example.org>\n> DATA\n< 250 *\n< 250 *\n< 354 *\n> text\n> .\n< 250 *\n> MAIL FROM:<>\n< 450 4.3.2 * server at its limit, too much mail, *")
}

// trickle sends text repeatedly until the returned function closes the connection.
func trickle(c *client, text string, pause time.Duration) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := c.Conn.Write([]byte(text)); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}()
	return func() {
		c.Conn.Close()
		<-done
	}
}
